"""A batch of records as one blob of columns; ``segment`` reads it. The first byte is the version.

Times are kept to the microsecond, durations in ms to the nanosecond, accuracy and satisfaction exactly.
What is unknown (None, NaN) comes back as None. Texts stay outside the blob: it holds their ``text_id``.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from athena_tuning.model import LayerTask, QueryMetrics, Source, SourceBatch
from athena_tuning.profiling.columns.recall_columns import RecallColumns
from athena_tuning.profiling.columns.rows import FLAGS, OUTCOME_ID
from athena_tuning.store.packing import Floats, Ints, Packer, numbered
from athena_tuning.store.segment import HEAD, VERSION
from athena_tuning.store.text_policy import TextPolicy, text_id, without_quotes

logger = logging.getLogger(__name__)

_LATEST = 9e9  # Unix seconds, the year 2255
_ODD = (TypeError, ValueError, KeyError, OverflowError, AttributeError, struct.error)

Wholes = Sequence[int] | Ints
Reals = Sequence[float | None] | Floats
Places = tuple[Sequence[Any], Wholes]
"""Distinct names, and each row's place among them."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A batch ready to be stored.

    Attributes:
        data: the blob.
        records: how many records it holds.
        refused: how many were left out because they are no measurements.
        oldest: smallest timestamp in Unix seconds.
        newest: largest timestamp in Unix seconds.
        texts: the query texts to keep, by ``text_id``.
        batches: what is in it from other sources than live ones.
    """

    data: bytes
    records: int
    refused: int
    oldest: float
    newest: float
    texts: Mapping[int, str]
    batches: Sequence[SourceBatch] = ()


class _Columns(NamedTuple):
    """A batch by columns, each as Python's tuple or as an array. ``RecallColumns`` says what they are."""

    ids: Sequence[str]
    text: Places  # of text ids
    time: Reals
    durations: Sequence[Reals]
    shares: Sequence[Reals]
    named: Sequence[Places]
    whole: Sequence[Wholes]
    layers: Sequence[str]
    groups: Sequence[tuple[Wholes, Wholes]]  # of tasks, times, layers asked: how many a record, and which
    task_durations: Sequence[Reals]
    task_whole: Sequence[Wholes]
    timed: Reals


def encode(records: Sequence[QueryMetrics], policy: TextPolicy = TextPolicy.KEEP) -> Encoded:
    """Turn a batch into columns.

    A record with a value of the wrong kind (a text where a number belongs) is left out, counted in
    ``refused`` and logged: one odd record must not hold back a batch.

    Examples:
        >>> m = QueryMetrics("a-1", "last deploy?", "temporal", 1e9, 12.5, None, False, 3, ["episodic"],
        ...                  {"episodic": 11.0}, True)
        >>> batch = encode([m])
        >>> batch.records, batch.texts[text_id("last deploy?")]
        (1, 'last deploy?')
    """
    if not records:
        return Encoded(b"", 0, 0, np.inf, -np.inf, {})
    try:
        return _encode(records, policy)
    except _ODD:
        fine = [record for record in records if _is_fine(record)]
    batch = _encode(fine, policy) if fine else encode(())
    return replace(batch, refused=len(records) - len(fine))


def encode_columns(
    rows: RecallColumns[int], kept: Mapping[int, str], policy: TextPolicy = TextPolicy.KEEP
) -> Encoded:
    """Turn a batch that is in columns already into a blob.

    Args:
        rows: at least one record.
        kept: query texts by ``text_id``.
        policy: what to keep of texts.
    """
    lengths = [np.diff(at) for at in (rows.tasks_at, rows.timed_at, rows.queried_at)]
    places = (rows.task_layer, rows.timed_layer, rows.queried_layer)
    columns = _Columns(
        rows.query_ids(),
        (rows.texts, rows.text),
        rows.time,
        (rows.latency, rows.memory, rows.results),
        (rows.accuracy, rows.satisfaction),
        ((rows.types, rows.type), _shown(rows.errors, rows.error, policy), (rows.sources, rows.source)),
        (rows.flags, rows.concurrency, rows.config),
        rows.layers,
        tuple(zip(lengths, places, strict=True)),
        (rows.offset, rows.queue, rows.service),
        (rows.in_flight, rows.outcome, rows.task_results),
        rows.timed,
    )
    texts = {key: kept[key] for key in rows.texts if key in kept} if policy is TextPolicy.KEEP else {}
    data, oldest, newest = _packed(columns, policy)
    return Encoded(data, rows.n, 0, oldest, newest, texts, _batches(columns))


def _is_fine(record: Any) -> bool:
    try:
        _encode([record], TextPolicy.DROP)
    except _ODD as exc:
        logger.warning("a record of %s cannot be stored: %s", type(record).__name__, exc)
        return False
    return True


def _encode(records: Sequence[QueryMetrics], policy: TextPolicy) -> Encoded:
    fields = tuple(zip(*records, strict=True))
    ids, queries, types, times, latency, memory, hits, results, queried, timed = fields[:10]
    success, errors, parallel, concurrency, accuracy, satisfaction, tasks, partial, config, source = fields[
        10:
    ]
    texts, text_places = numbered(queries)
    if not {str}.issuperset(map(type, texts)):
        raise TypeError("a query text must be a text")
    keys = list(map(text_id, texts))
    columns = _Columns(
        ids,
        (keys, text_places),
        times,
        (latency, memory, results),
        (accuracy, satisfaction),
        (numbered(types), _shown(*numbered(errors), policy), numbered(source)),
        (
            bytes(map(FLAGS.__getitem__, zip(hits, success, parallel, partial, strict=True))),
            concurrency,
            config,
        ),
        *_layer_columns(tasks, timed, queried),
    )
    data, oldest, newest = _packed(columns, policy)
    kept = dict(zip(keys, texts, strict=True)) if policy is TextPolicy.KEEP else {}
    return Encoded(data, len(records), 0, oldest, newest, kept, _batches(columns))


def _batches(columns: _Columns) -> list[SourceBatch]:
    distinct, places = columns.named[2]
    if all(source == Source.LIVE for source in distinct):
        return []
    which, times = np.array(list(places)), np.array(list(columns.time), float)
    values = []
    for number, source in enumerate(distinct):
        own = times[which == number]
        if source != Source.LIVE and len(own):
            values.append(SourceBatch(source, len(own), float(own.min()), float(own.max())))
    return values


def _shown(errors: Sequence[str | None], places: Wholes, policy: TextPolicy) -> Places:
    return [without_quotes(error, policy) or "" for error in errors], places


def _layer_columns(
    tasks: Sequence[Sequence[LayerTask]],
    timed: Sequence[dict[str, float]],
    queried: Sequence[Sequence[str]],
) -> tuple[Any, ...]:
    """Return the last columns of ``_Columns``."""
    flat = list(chain.from_iterable(tasks))
    if not {LayerTask}.issuperset(map(type, flat)):
        raise TypeError("tasks must be LayerTask records")
    by_task: tuple[Any, ...] = tuple(zip(*flat, strict=True)) or ((),) * 7
    measured, offsets, queues, services, in_flight, outcomes, results = by_task
    named = (measured, tuple(chain.from_iterable(timed)), tuple(chain.from_iterable(queried)))
    names = {name: place for place, name in enumerate(dict.fromkeys(chain(*named)))}
    lengths = [tuple(map(len, part)) for part in (tasks, timed, queried)]
    groups = [
        (length, list(map(names.__getitem__, part))) for length, part in zip(lengths, named, strict=True)
    ]
    return (
        list(names),
        groups,
        (offsets, queues, services),
        (in_flight, list(map(OUTCOME_ID.__getitem__, outcomes)), results),
        tuple(chain.from_iterable(map(dict.values, timed))),
    )


def _packed(columns: _Columns, policy: TextPolicy) -> tuple[bytes, float, float]:
    """Return the blob, its oldest and its newest time."""
    out = Packer()
    out.raw(HEAD.pack(VERSION, len(columns.ids)))
    _pack_ids(out, columns.ids)
    keys, places = columns.text
    out.raw(len(keys).to_bytes(4, "little"))
    out.ints(bytes(len(keys)) if policy is TextPolicy.DROP else keys)
    out.ints(places)
    oldest, newest = out.floats(columns.time)
    if not -_LATEST < oldest <= newest < _LATEST:
        raise ValueError("a timestamp is no Unix time in seconds")
    for durations in columns.durations:
        out.floats(durations)
    for shares in columns.shares:
        out.floats(shares, exact=True)
    for distinct, places in columns.named:
        out.strings(distinct)
        out.ints(places)
    for whole in columns.whole:
        out.ints(whole)
    _pack_layers(out, columns)
    return out.packed(), oldest, newest


def _pack_layers(out: Packer, columns: _Columns) -> None:
    """Write the tasks, the layers' times and the layers asked; mostly the three name the same layers."""
    out.strings(columns.layers)
    before: tuple[Wholes, Wholes] = ((), ())
    for place, group in enumerate(columns.groups):
        again = place > 0 and all(map(_alike, group, before))
        out.raw(b"\1" if again else b"\0")
        if not again:
            out.ints(group[0])
            out.ints(group[1])
        before = group
    for durations in columns.task_durations:
        out.floats(durations)
    for whole in columns.task_whole:
        out.ints(whole)
    services = columns.task_durations[2]
    again = _alike(columns.timed, services)
    out.raw(b"\1" if again else b"\0")
    if not again:
        out.floats(columns.timed)


def _alike(a: Wholes | Reals, b: Wholes | Reals) -> bool:
    both_arrays = isinstance(a, np.ndarray) and isinstance(b, np.ndarray)
    return np.array_equal(np.asarray(a), np.asarray(b)) if both_arrays else bool(a == b)


def _pack_ids(out: Packer, ids: Sequence[str]) -> None:
    """Write ids as a common beginning and a number, if they are so; else as texts."""
    prefix = ids[0].rstrip("0123456789")
    numbers = _numbers_after(prefix, ids)
    if numbers is None:
        out.raw(b"\0")
        out.strings(ids)
    else:
        out.raw(b"\1")
        out.strings([prefix])
        out.ints(numbers)


def _numbers_after(prefix: str, ids: Sequence[str]) -> list[int] | None:
    """Return the numbers that make the ids with a prefix; None if they are not made so."""
    start = len(prefix)
    try:
        numbers = [int(name[start:]) for name in ids]
    except ValueError:
        return None
    made_so = [f"{prefix}{number}" for number in numbers] == list(ids)
    return numbers if made_so and max(numbers) < 2**63 else None
