"""Runs as a table for other programs: a row for each stretch of time, CSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from athena_tuning.workload.export import replacing
from athena_tuning.workload.summary import LoadSummary

SUFFIXES = (".csv", ".jsonl", ".parquet")
"""Endings of a file's name, each of which is a format."""

_PERCENTILES = {"p50_ms": 0.5, "p90_ms": 0.9, "p95_ms": 0.95, "p99_ms": 0.99}
_COUNTS = {
    "recalls": "finished",
    "errors": "errors",
    "partials": "partials",
    "cache_hits": "cache_hits",
    "cache_known": "cache_known",
}


def rows(run: LoadSummary) -> Iterator[dict[str, Any]]:
    """Give a row for each stretch of a run; what is unknown is None.

    ``from_s`` and ``to_s`` are seconds from the run's start, latencies ms from the moment a recall was due.
    """
    for n, block in enumerate(run.blocks):
        latency = block.latency
        yield {
            "run": run.id,
            "pattern": run.spec.pattern,
            "state": run.state,
            "started": run.started,
            "from_s": n * run.block_s,
            "to_s": min((n + 1) * run.block_s, max(run.elapsed_s, n * run.block_s)),
            **{name: block.counts[counted] for name, counted in _COUNTS.items()},
            "mean_ms": _known(latency.mean),
            **{name: _known(latency.quantile(q)) for name, q in _PERCENTILES.items()},
        }


def write_table(path: Path | str, runs: Sequence[LoadSummary]) -> int:
    """Write runs in the format of the path's ending; return the rows.

    A file that is there already is replaced once the new one is whole.

    Raises:
        ValueError: if the ending is none of ``SUFFIXES``.
        OSError: if the file cannot be written.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path.name} ends with none of {', '.join(SUFFIXES)}: the ending is the format")
    found = [row for run in runs for row in rows(run)]
    with replacing(path) as new:
        if path.suffix == ".parquet":
            _write_parquet(found, new)
        else:
            with new.open("w", encoding="utf-8", newline="") as file:
                if path.suffix == ".csv":
                    writer = csv.DictWriter(file, _NAMES)
                    writer.writeheader()
                    writer.writerows(found)
                else:
                    file.writelines(f"{json.dumps(row, allow_nan=False)}\n" for row in found)
    return len(found)


_TEXTS = ("run", "pattern", "state")
_NAMES = (*_TEXTS, "started", "from_s", "to_s", *_COUNTS, "mean_ms", *_PERCENTILES)


def _write_parquet(found: Sequence[dict[str, Any]], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {**dict.fromkeys(_TEXTS, pa.string()), **dict.fromkeys(_COUNTS, pa.int64())}
    schema = pa.schema([(name, kinds.get(name, pa.float64())) for name in _NAMES])
    pq.write_table(pa.Table.from_pylist(list(found), schema), path)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
