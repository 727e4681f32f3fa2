"""What ships with the project: the sample memory."""

from __future__ import annotations

from pathlib import Path

from athena_tuning import locations


def sample_memory() -> Path:
    """Return the file of the sample memory: items of all five layers as gzipped JSON lines."""
    return locations.sample_data() / "memory.jsonl.gz"
