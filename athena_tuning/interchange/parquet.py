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
        cells = [_plain(column).to_pylist() for column in batch.columns]
        for number, values in enumerate(zip(*cells, strict=True), first):
            yield (number, dict(zip(names, values, strict=True))), share


def _plain(column: Any) -> Any:
    """Return a column in a type that tables of text and JSON have too; durations as ms."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_duration(kind):
        whole = column.cast(pa.int64()).cast(pa.float64(), safe=False)
        return pc.divide(whole, {"s": 1e-3, "ms": 1.0, "us": 1e3, "ns": 1e6}[kind.unit])
    if pa.types.is_timestamp(kind) and kind.unit == "ns":  # Python's own times end at µs
        return column.cast(pa.timestamp("us", kind.tz), safe=False)
    if pa.types.is_date(kind):
        return column.cast(pa.timestamp("ms", "UTC"))
    if pa.types.is_decimal(kind):
        return column.cast(pa.float64(), safe=False)
    return column.cast(pa.string()) if pa.types.is_time(kind) else column


def own_records(path: Path) -> Iterator[tuple[tuple[int, QueryMetrics | ValueError], float]]:
    """Give the records of an export, and which share of the file has been read."""
    for first, batch, share in _batches(path, record_json.FIELDS):
        for number, found in enumerate(record_parquet.from_batch(batch), first):
            yield (number, found), share


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
