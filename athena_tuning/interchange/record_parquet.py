"""Records as a Parquet table and back, a batch of columns at a time."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from itertools import pairwise
from typing import Any

from athena_tuning.interchange import record_json
from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome

_UNKNOWN_AS: dict[str, Any] = {
    "parallel_execution": False,
    "concurrency_level": 1,
    "accuracy_score": math.nan,
    "partial": False,
    "config_version": 0,
}
"""What a record has where the cell is empty; None for the others."""

_ALWAYS = ("query_id", "query_text", "query_type", "timestamp", *record_json.NESTED)
_new_record: Callable[[Iterable[Any]], QueryMetrics] = partial(tuple.__new__, QueryMetrics)
_new_task: Callable[[Iterable[Any]], LayerTask] = partial(tuple.__new__, LayerTask)


@cache
def schema() -> Any:
    """Return the columns and their types."""
    import pyarrow as pa

    real, count, text = pa.float64(), pa.int64(), pa.string()
    task = {"layer": text, "offset_ms": real, "queue_ms": real, "service_ms": real, "in_flight": count}
    task |= {"outcome": text, "result_count": count}
    special = {
        **dict.fromkeys(("cache_hit", "success", "parallel_execution", "partial"), pa.bool_()),
        **dict.fromkeys(("result_count", "concurrency_level", "config_version"), count),
        **dict.fromkeys(
            ("timestamp", "latency_ms", "memory_mb", "accuracy_score", "user_satisfaction"), real
        ),
        "layers_queried": pa.list_(text),
        "layer_latencies": pa.map_(text, real),
        "tasks": pa.list_(pa.struct([(name, task[name]) for name in LayerTask._fields])),
    }
    return pa.schema([(name, special.get(name, text)) for name in record_json.FIELDS])


def to_table(records: Sequence[QueryMetrics]) -> Any:
    """Return records as a table."""
    import pyarrow as pa

    rows = [record_json.to_plain(record) for record in records]
    columns = {name: [row[name] for row in rows] for name in record_json.FIELDS}
    columns["layer_latencies"] = [list(timed.items()) for timed in columns["layer_latencies"]]
    types = schema()
    return pa.table({name: pa.array(columns[name], types.field(name).type) for name in columns}, types)


def from_batch(batch: Any) -> Iterator[QueryMetrics | ValueError]:
    """Give the records of a batch, or what is wrong with one, in its order.

    A batch as ``to_table`` writes them is checked and read by columns; in any other each row is.

    Raises:
        ValueError: if a task's outcome is none.
    """
    cells = {name: batch.column(name) for name in record_json.FIELDS}
    layers, latencies, tasks = (cells.pop(name) for name in record_json.NESTED)
    with _no_collections():
        nested = _lists(layers), _maps(latencies), _tasks(tasks)
        sound = batch.schema.equals(schema()) and _is_sound(batch)
        whole = list(map(_new_record, _rows(cells, nested))) if sound else []
    yield from whole if sound else _one_by_one(cells, nested)


@contextmanager
def _no_collections() -> Iterator[None]:
    """Put off the garbage collector while a batch is made: it would look through it a hundred times."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def _rows(cells: dict[str, Any], nested: tuple[list[Any], ...]) -> Iterator[tuple[Any, ...]]:
    values = dict(zip(record_json.NESTED, nested, strict=True))
    for name, column in cells.items():
        filled = column.fill_null(_UNKNOWN_AS[name]) if name in _UNKNOWN_AS else column
        values[name] = filled.to_pylist()
    values["error"] = [text or None for text in values["error"]]
    named = {name: record_json.imported_source(name) for name in set(values["source"])}
    values["source"] = [named[name] for name in values["source"]]
    return zip(*[values[name] for name in record_json.FIELDS], strict=True)


def _one_by_one(cells: dict[str, Any], nested: tuple[list[Any], ...]) -> Iterator[QueryMetrics | ValueError]:
    names = list(cells)
    flat = zip(*[column.to_pylist() for column in cells.values()], strict=True)
    for values, layers, latencies, tasks in zip(flat, *nested, strict=True):
        row = dict(zip(names, values, strict=True))
        row["layers_queried"], row["layer_latencies"] = layers, latencies
        try:
            yield record_json.from_plain(row)._replace(tasks=tasks)
        except ValueError as exc:
            yield exc


def _is_sound(batch: Any) -> bool:
    """Whether ``record_json.from_plain`` would take every row as it is."""
    import pyarrow as pa

    if any(batch.column(name).null_count for name in _ALWAYS):
        return False
    latencies, layers = batch.column("layer_latencies"), batch.column("layers_queried").flatten()
    times = batch.column("timestamp")
    numbers = [column for column in batch.columns if pa.types.is_primitive(column.type)]
    inner = [latencies.keys, latencies.items, *batch.column("tasks").flatten().flatten(), layers]
    if any(column.null_count for column in inner) or not _all(times, lowest=5e-324):
        return False
    return all(_all(column) for column in (*numbers, *inner) if not pa.types.is_string(column.type))


def _all(column: Any, lowest: float = 0.0) -> bool:
    """Whether all numbers that are known are finite and within what anybody measures."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_boolean(column.type) or len(column) == column.null_count:
        return True
    least, most = pc.min_max(column).values()
    finite = not pa.types.is_floating(column.type) or pc.all(pc.is_finite(column)).as_py()
    return bool(finite and least.as_py() >= lowest and most.as_py() <= record_json.LARGEST)


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
    return list(map(dict, _pieces(column, list(zip(keys, items, strict=True)))))


def _tasks(column: Any) -> list[tuple[LayerTask, ...]]:
    fields = dict(zip((f.name for f in column.type.value_type), column.flatten().flatten(), strict=True))
    values = [fields[name].to_pylist() for name in LayerTask._fields]
    at = LayerTask._fields.index("outcome")
    outcomes: dict[str, TaskOutcome] = {text: record_json.task_outcome(text) for text in set(values[at])}
    values[at] = [outcomes[text] for text in values[at]]
    return list(map(tuple, _pieces(column, list(map(_new_task, zip(*values, strict=True))))))
