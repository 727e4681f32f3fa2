"""What ships with the project: the sample memory and the recorded workloads."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from athena_tuning import locations
from athena_tuning.interchange.record_json import from_plain
from athena_tuning.model import QueryMetrics

DAY_SECONDS = 86400.0


@dataclass(frozen=True, slots=True)
class SampleWorkload:
    """A recording of a real run.

    Attributes:
        name: short name.
        title: one line.
        teaches: what to look for in it.
        path: its records, as gzipped JSON lines.
        recalls: how many.
        seconds: how long the run took.
        stretch: loaded times are stretched by this factor (1: they are as recorded). A day was pressed into
            minutes; latencies never are.
        made: how it was made: layers, simulated waits, config, load, machine.
    """

    name: str
    title: str
    teaches: str
    path: Path
    recalls: int
    seconds: float
    stretch: float
    made: Mapping[str, Any]


def sample_memory() -> Path:
    """Return the file of the sample memory: items of all five layers as gzipped JSON lines."""
    return locations.sample_data() / "memory.jsonl.gz"


def list_samples() -> list[SampleWorkload]:
    """Return the recorded workloads, by title."""
    found = [_described(path) for path in (locations.sample_data() / "workloads").glob("*.json")]
    return sorted(found, key=lambda sample: sample.title)


def load_records(name: str, *, ending_at: float | None = None) -> list[QueryMetrics]:
    """Return the records of a workload, oldest first; their source is "sample".

    Args:
        name: of a sample workload.
        ending_at: move the times so that the last recall was then (Unix seconds). A recorded day is moved by
            whole days in place of that, each recall to the latest time not after ``ending_at`` at which it
            was the same hour of the day here: so its lunch stays at lunch time. None: as recorded.

    Raises:
        ValueError: if there is no such workload.
    """
    samples = {sample.name: sample for sample in list_samples()}
    if (sample := samples.get(name)) is None:
        raise ValueError(f"there is no sample workload {name!r:.80}; there are {', '.join(samples)}")
    with gzip.open(sample.path, "rt", encoding="utf-8") as lines:
        records = [from_plain(json.loads(line)) for line in lines]
    begin = records[0].timestamp
    since = [(m.timestamp - begin) * sample.stretch for m in records]
    if ending_at is None:
        times = [begin + passed for passed in since]
    elif sample.stretch > 1:
        midnight = ending_at - (ending_at + time.localtime(ending_at).tm_gmtoff) % DAY_SECONDS
        times = [
            midnight + passed - (DAY_SECONDS if midnight + passed > ending_at else 0) for passed in since
        ]
    else:
        times = [ending_at - since[-1] + passed for passed in since]
    moved = (m._replace(timestamp=at) for m, at in zip(records, times, strict=True))
    return sorted(moved, key=lambda m: m.timestamp)


def _described(path: Path) -> SampleWorkload:
    row = json.loads(path.read_text("utf-8"))
    shown = ("name", "title", "teaches", "recalls", "seconds", "stretch")
    made = {key: value for key, value in row.items() if key not in shown}
    return SampleWorkload(path=path.with_suffix(".jsonl.gz"), made=made, **{key: row[key] for key in shown})
