"""Writes what came out of load runs as CSV, JSON lines or Parquet: a row a run, its figures as columns."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from athena_tuning.extras import needs_extra
from athena_tuning.interchange.export import format_of, replacing, text_file
from athena_tuning.interchange.record_csv import safe_text
from athena_tuning.load.summary import LoadSummary


def export_runs(runs: Iterable[LoadSummary], path: Path | str) -> int:
    """Write runs in the format of the path's ending; return how many.

    A file that is there already is replaced once the new one is whole. What was not measured is empty (CSV)
    or null. Objects (mix, errors by name, recalls by config version) are JSON in one column; the stretches
    that comparisons rest on are left out. In CSV a text that a spreadsheet could take for a formula begins
    with an apostrophe.

    Args:
        runs: what to write, in this order.
        path: ends with one of ``export.SUFFIXES``.

    Raises:
        ValueError: if the ending is none of them, or there is no run.
        MissingExtra: if it is Parquet and the extra ``files`` is not installed.
        OSError: if the file cannot be written.
    """
    path = Path(path)
    suffix = format_of(path)
    rows = [dict(_columns(run)) for run in runs]
    if not rows:
        raise ValueError("there is no run to export")
    with replacing(path) as new:
        if suffix == ".parquet":
            _write_parquet(rows, new)
        else:
            with text_file(new, packed=suffix.endswith(".gz")) as file:
                if suffix.startswith(".csv"):
                    writer = csv.writer(file)
                    writer.writerow(rows[0])
                    writer.writerows(map(_cells, rows))
                else:
                    file.writelines(
                        f"{json.dumps(row, ensure_ascii=False, allow_nan=False)}\n" for row in rows
                    )
    return len(rows)


def _columns(run: LoadSummary) -> Iterator[tuple[str, Any]]:
    """Give names and values: the figures, then what was asked for as ``spec_…``."""
    values = run.to_dict()
    spec = values.pop("spec")
    for name in ("blocks", "block_s"):
        del values[name]
    for name, value in (*values.items(), *((f"spec_{name}", value) for name, value in spec.items())):
        if isinstance(value, Mapping):
            yield name, json.dumps(value, ensure_ascii=False)
        else:
            yield name, None if isinstance(value, float) and not math.isfinite(value) else value


def _cells(row: Mapping[str, Any]) -> list[Any]:
    return [safe_text(value) if isinstance(value, str) else value for value in row.values()]


def _write_parquet(rows: list[dict[str, Any]], path: Path) -> None:
    with needs_extra("files", "Parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), path, compression="zstd")
