"""The command line in this process, and items for it to load."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from click.testing import CliRunner, Result

from athena_tuning.cli import main

ITEMS = [
    {"id": "e1", "layer": "episodic", "text": "The billing deploy failed on Friday."},
    {"id": "s1", "layer": "semantic", "text": "Billing is owned by Ana."},
    {"id": "s2", "layer": "semantic", "text": "[bold]Markup[/bold] in a billing note stays text."},
]


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words, terminal_width=200)


def items_file(folder: Path, *lines: str, name: str = "items.jsonl") -> Path:
    """Write ``ITEMS`` and these lines."""
    path = folder / name
    body = "\n".join([*(json.dumps(item) for item in ITEMS), *lines]) + "\n"
    path.write_bytes(gzip.compress(body.encode()) if name.endswith(".gz") else body.encode())
    return path
