"""Parquet files: rows of a table, and our own exports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from athena_tuning.extras import needs_extra
from athena_tuning.interchange import record_json, record_parquet
from athena_tuning.interchange.lines import Row
from athena_tuning.interchange.opening import Limits, TornFile
from athena_tuning.model import QueryMetrics

BATCH = 8192
_FIRST_S, _LAST_S = -60_000_000_000, 250_000_000_000
"""Times before the years 69 and after 9892 are none."""

LARGEST_GROUP = 4 << 30
"""Bytes of an unpacked row group; a larger one does not fit into memory."""


def columns(path: Path, limits: Limits) -> list[str]:
    """Return the names of the columns.

    Raises:
        MissingExtra: if the extra ``files`` is not installed.
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


def schema_units(path: Path) -> dict[str, str]:
    """Return the units that the columns' types bring: durations are read as ms, whatever they are kept in."""
    with _opened(path) as file:
        import pyarrow as pa

        return {column.name: "ms" for column in file.schema_arrow if pa.types.is_duration(column.type)}


def rows(path: Path, wanted: Sequence[str], at_once: int = BATCH) -> Iterator[tuple[Row, float]]:
    """Give rows with the wanted columns, and which share of the file has been read.

    Args:
        path: the file.
        wanted: names of the columns.
        at_once: rows that are unpacked together.
    """
    for first, batch, share in _batches(path, wanted, at_once):
        names = batch.schema.names
        for number, values in enumerate(zip(*_cells(batch, first), strict=True), first):
            yield (number, dict(zip(names, values, strict=True))), share


def _cells(batch: Any, first: int) -> list[list[Any]]:
    import pyarrow as pa

    try:
        return [_values(_plain(column)) for column in batch.columns]
    except (ArithmeticError, LookupError, ValueError, pa.ArrowException) as exc:
        raise TornFile(f"rows from {first:,} on hold values that are none: {exc}") from None


def _values(column: Any) -> list[Any]:
    """Return the values of a column; a map by names, such as of times by layer, as JSON has it."""
    import pyarrow as pa

    values: list[Any] = column.to_pylist()
    if pa.types.is_map(column.type) and pa.types.is_string(column.type.key_type):
        return [None if pairs is None else dict(pairs) for pairs in values]
    return values


def _plain(column: Any) -> Any:
    """Return a column in a type that tables of text and JSON have too; durations as ms."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_duration(kind):
        whole = column.cast(pa.int64()).cast(pa.float64(), safe=False)
        return pc.divide(whole, {"s": 1e-3, "ms": 1.0, "us": 1e3, "ns": 1e6}[kind.unit])
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):  # Python's own times have µs, and an end
        seconds = column.cast(pa.timestamp("s"), safe=False).cast(pa.int64())
        known = pc.and_(pc.greater(seconds, _FIRST_S), pc.less(seconds, _LAST_S))
        zone = kind.tz if pa.types.is_timestamp(kind) else "UTC"
        within = pc.if_else(known, column, pa.scalar(None, kind))
        return within.cast(pa.timestamp("us", zone), safe=False)
    if pa.types.is_decimal(kind):
        return column.cast(pa.float64(), safe=False)
    return column.cast(pa.string()) if pa.types.is_time(kind) else column


def own_records(path: Path) -> Iterator[tuple[tuple[int, QueryMetrics | ValueError], float]]:
    """Give the records of an export, and which share of the file has been read."""
    for first, batch, share in _batches(path, record_json.FIELDS):
        for number, record in enumerate(record_parquet.from_batch(batch), first):
            yield (number, record), share


def _batches(path: Path, wanted: Sequence[str], at_once: int = BATCH) -> Iterator[tuple[int, Any, float]]:
    """Give (number of the first row, batch, share read)."""
    with _opened(path) as file:
        import pyarrow as pa

        total = max(1, file.metadata.num_rows)
        first = 1
        try:
            for batch in file.iter_batches(at_once, columns=list(wanted)):
                yield first, batch, (first + batch.num_rows) / total
                first += batch.num_rows
        except (pa.ArrowInvalid, OSError) as exc:
            raise TornFile(f"the file breaks after row {first - 1:,}: {exc}") from None


def _opened(path: Path) -> Any:
    with needs_extra("files", "Parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as exc:
        raise ValueError(f"{path.name} is no whole Parquet file: {exc}") from None


def is_own(path: Path) -> bool:
    """Return whether a file is an export of ours."""
    with _opened(path) as file:
        import pyarrow as pa

        schema = file.schema_arrow
        if not set(record_json.FIELDS) <= set(schema.names):
            return False
        layers, latencies, tasks = (schema.field(name).type for name in record_json.NESTED)
        return bool(pa.types.is_list(layers) and pa.types.is_map(latencies) and pa.types.is_list(tasks))
