"""How records become columns: many by transposing the batch, a few one by one, both to the same rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from athena_tuning.profiling.columns import validation
from athena_tuning.profiling.columns.block import BLOCK_ROWS
from athena_tuning.profiling.columns.column_batch import ColumnBatch
from athena_tuning.profiling.columns.recall_columns import RecallColumns
from athena_tuning.profiling.columns.record_batch import NeedsValidation, RecordBatch
from athena_tuning.profiling.columns.rows import record_row, task_rows
from athena_tuning.profiling.columns.table import Column
from athena_tuning.profiling.columns.window import FEW, Window
from athena_tuning.profiling.measure import MeasuredQuery


def fold(window: Window, records: Sequence[object], now: float, counters: Counter[str]) -> None:
    """Put pending records into the window's columns.

    Args:
        window: takes the rows.
        records: in the order of their arrival, not more than the window holds; anything that a caller may
            have recorded.
        now: Unix seconds.
        counters: takes "recorded" and what the rules did.
    """
    cutoff = window.cutoff(now)
    if MeasuredQuery in set(map(type, records)):
        records = [_read(record) if type(record) is MeasuredQuery else record for record in records]
    if len(records) > FEW:
        try:
            batch = RecordBatch(records, window.names, now, cutoff)
        except NeedsValidation:
            pass  # the rules say what is odd and what becomes of it
        else:
            counters["recorded"] += len(records)
            _extend(window, batch)
            return
    clean = [m for record in records if (m := validation.normal(record, now, cutoff, counters)) is not None]
    counters["recorded"] += len(clean)
    if len(clean) > FEW:
        _extend(window, RecordBatch(clean, window.names, now, cutoff))
        return
    for m in clean:
        window.open_block().append(m.query_id, record_row(m, window.names), task_rows(m))
        window.advance(1)


def fold_columns(
    window: Window, columns: RecallColumns[Any], texts: Sequence[str], now: float, counters: Counter[str]
) -> bool:
    """Put recalls that are in columns already into the window; False if one is not as the rules want it.

    Args:
        window: takes the rows.
        columns: at least one recall, not more than the window holds.
        texts: the texts that ``columns.text`` gives the places of.
        now: Unix seconds.
        counters: takes "recorded".
    """
    try:
        batch = ColumnBatch(columns, texts, window.names, now, window.cutoff(now))
    except NeedsValidation:
        return False
    counters["recorded"] += columns.n
    _extend(window, batch)
    return True


def _read(measured: MeasuredQuery) -> object:
    """Return the record of a measured query; where its names make that impossible, what will be rejected."""
    try:
        return measured.metrics()
    except (TypeError, ValueError):
        return measured


def _extend(window: Window, batch: RecordBatch) -> None:
    """Write a batch into the window's blocks, of which the last may fill up on the way."""
    n = len(batch)
    columns, tasks = batch.record_columns(window.names), batch.task_columns(window.names)
    done = 0
    while done < n:
        block = window.open_block()
        upto = min(n, done + BLOCK_ROWS - len(block))
        part: dict[str, Sequence[Column]] = {}
        for layer, (recalls, values) in tasks.items():
            low, high = np.searchsorted(recalls, (done, upto)).tolist()
            part[layer] = [column[low:high] for column in values]
        block.extend(batch.query_ids[done:upto], [column[done:upto] for column in columns], part)
        window.advance(upto - done)
        done = upto
