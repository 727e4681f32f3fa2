"""Parquet files: rows of a table, and our own exports column by column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from athena_tuning.model import LayerTask, QueryMetrics
from athena_tuning.workload import record_json
from athena_tuning.workload.importing.lines import Row
from athena_tuning.workload.importing.opening import Limits, TornFile

BATCH = 8192
LARGEST_GROUP = 4 << 30
"""Bytes of an unpacked row group; a larger one does not fit into memory."""


def columns(path: Path, limits: Limits) -> list[str]:
    """Return the names of the columns.

    Raises:
        ValueError: if the file is no Parquet, has too many columns or would not fit into memory.
    """
    with _opened(path) as file:
        names = list(file.schema_arrow.names)
        if len(names) > limits.columns:
            raise ValueError(f"the file has {len(names):,} columns; at most {limits.columns:,} are read")
        size = max(
            (file.metadata.row_group(n).total_byte_size for n in range(file.num_row_groups)), default=0
        )
        if size > LARGEST_GROUP:
            raise ValueError(f"a row group unpacks to {size:,} bytes; at most {LARGEST_GROUP:,} are read")
        return names


def rows(path: Path, wanted: Sequence[str]) -> Iterator[tuple[Row, float]]:
    """Give rows with the wanted columns, and which share of the file has been read."""
    for first, batch, share in _batches(path, wanted):
        names = batch.schema.names
        cells = [column.to_pylist() for column in batch.columns]
        for number, values in enumerate(zip(*cells, strict=True), first):
            yield (number, dict(zip(names, values, strict=True))), share


def own_records(path: Path) -> Iterator[tuple[tuple[int, QueryMetrics | ValueError], float]]:
    """Give the records of an export. Layers and tasks are read flat, which is faster than nested."""
    for first, batch, share in _batches(path, record_json.FIELDS):
        cells = {name: batch.column(name) for name in batch.schema.names}
        layers, latencies, tasks = (cells.pop(name) for name in record_json.NESTED)
        names = list(cells)
        listed, timed, told = _lists(layers), _maps(latencies), _tasks(tasks)
        flat = zip(*[cells[name].to_pylist() for name in names], strict=True)
        for n, values in enumerate(flat):
            row = dict(zip(names, values, strict=True))
            row["layers_queried"], row["layer_latencies"] = listed[n], timed[n]
            try:
                yield (first + n, record_json.from_plain(row)._replace(tasks=told[n])), share
            except ValueError as exc:
                yield (first + n, exc), share


def _batches(path: Path, wanted: Sequence[str]) -> Iterator[tuple[int, Any, float]]:
    """Give (number of the first row, batch, share read)."""
    import pyarrow as pa

    with _opened(path) as file:
        total = max(1, file.metadata.num_rows)
        first = 1
        try:
            for batch in file.iter_batches(BATCH, columns=list(wanted)):
                yield first, batch, (first + batch.num_rows) / total
                first += batch.num_rows
        except (pa.ArrowInvalid, OSError) as exc:
            raise TornFile(f"the file breaks after row {first - 1:,}: {exc}") from None


def _opened(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as exc:
        raise ValueError(f"{path.name} is no whole Parquet file: {exc}") from None


def _pieces(column: Any, values: Sequence[Any]) -> list[Any]:
    """Cut a flat list where the rows of a list or map column begin."""
    offsets = column.offsets.to_pylist()
    start = offsets[0]
    return [values[a - start : b - start] for a, b in pairwise(offsets)]


def _lists(column: Any) -> list[list[str]]:
    return _pieces(column, column.flatten().to_pylist())


def _maps(column: Any) -> list[dict[str, float | None]]:
    begin, end = column.offsets[0].as_py(), column.offsets[-1].as_py()
    keys = column.keys[begin:end].to_pylist()
    items = column.items[begin:end].to_pylist()
    return [dict(piece) for piece in _pieces(column, list(zip(keys, items, strict=True)))]


def _tasks(column: Any) -> list[tuple[LayerTask, ...]]:
    fields = dict(zip((f.name for f in column.type.value_type), column.flatten().flatten(), strict=True))
    values = [fields[name].to_pylist() for name in LayerTask._fields]
    outcomes = {text: record_json.task_outcome(text) for text in set(values[5])}
    values[5] = [outcomes[text] for text in values[5]]
    return list(map(tuple, _pieces(column, list(map(LayerTask._make, zip(*values, strict=True))))))


def is_own(path: Path) -> bool:
    """Return whether a file is an export of ours."""
    import pyarrow as pa

    with _opened(path) as file:
        schema = file.schema_arrow
        if not set(record_json.FIELDS) <= set(schema.names):
            return False
        layers, latencies, tasks = (schema.field(name).type for name in record_json.NESTED)
        return bool(pa.types.is_list(layers) and pa.types.is_map(latencies) and pa.types.is_list(tasks))
