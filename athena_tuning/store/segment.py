"""A batch of records as one blob of columns, and back. The blob carries its version in its first byte.

Times are kept to the microsecond, durations in ms to the nanosecond, accuracy and satisfaction exactly.
What is unknown (None, NaN) comes back as None. Texts stay outside the blob: it holds their ``text_id``.
"""

from __future__ import annotations

import copy
import logging
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, pairwise, product
from typing import Any

import numpy as np
import numpy.typing as npt

from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome
from athena_tuning.store.packing import Floats, Ints, Packer, Unpacker, numbered
from athena_tuning.store.text import TextPolicy, hash_shown, text_id, without_quotes

logger = logging.getLogger(__name__)

VERSION = 2
_LATEST = 9e9  # Unix seconds, the year 2255
_HEAD = struct.Struct("<BI")
CACHE_KNOWN, CACHE_HIT, SUCCESS_KNOWN, SUCCESS, PARALLEL, PARTIAL = 1, 2, 4, 8, 16, 32
OUTCOMES = tuple(TaskOutcome)
OK = OUTCOMES.index(TaskOutcome.OK)

_CACHE_BITS = {None: 0, False: CACHE_KNOWN, True: CACHE_KNOWN | CACHE_HIT}
_SUCCESS_BITS = {None: 0, False: SUCCESS_KNOWN, True: SUCCESS_KNOWN | SUCCESS}
_FLAGS = {
    (hit, success, parallel, partially): _CACHE_BITS[hit]
    | _SUCCESS_BITS[success]
    | PARALLEL * parallel
    | PARTIAL * partially
    for hit, success, parallel, partially in product(_CACHE_BITS, _SUCCESS_BITS, (False, True), (False, True))
}
_OUTCOME_PLACE = {outcome: place for place, outcome in enumerate(OUTCOMES)}
_ODD = (TypeError, ValueError, KeyError, OverflowError, AttributeError, struct.error)

_RECORD_COLUMNS = (
    *("_id", "text", "time", "latency", "memory", "results", "accuracy", "satisfaction"),
    *("type", "error", "source", "flags", "concurrency", "config"),
)
_LAYER_COLUMNS = {
    "tasks_at": ("task_layer", "offset", "queue", "service", "in_flight", "outcome", "task_results"),
    "timed_at": ("timed_layer", "timed"),
    "queried_at": ("queried_layer",),
}
_NAMED_COLUMNS = {
    "text_ids": ("text",),
    "types": ("type",),
    "errors": ("error",),
    "sources": ("source",),
    "layers": ("task_layer", "timed_layer", "queried_layer"),
}


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
    """

    data: bytes
    records: int
    refused: int
    oldest: float
    newest: float
    texts: Mapping[int, str]


def encode(records: Sequence[QueryMetrics], policy: TextPolicy = TextPolicy.KEEP) -> Encoded:
    """Turn a batch into columns.

    A record with a value of the wrong kind (a text where a number belongs) is left out, counted in
    ``refused`` and logged: one odd record must not hold back a batch.

    Example:
        >>> m = QueryMetrics("a-1", "last deploy?", "temporal", 1e9, 12.5, None, False, 3, ["episodic"],
        ...                  {"episodic": 11.0}, True)
        >>> batch = encode([m])
        >>> Segment(batch.data).records(batch.texts) == [m]
        True
    """
    if not records:
        return Encoded(b"", 0, 0, np.inf, -np.inf, {})
    try:
        return _encode(records, policy)
    except _ODD:
        fine = [record for record in records if _is_fine(record)]
    batch = _encode(fine, policy) if fine else encode(())
    return Encoded(
        batch.data, batch.records, len(records) - len(fine), batch.oldest, batch.newest, batch.texts
    )


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
    success, errors, parallel, concurrency, accuracy, satisfaction, tasks, partial_, config, source = fields[
        10:
    ]
    out = Packer()
    out.raw(_HEAD.pack(VERSION, len(records)))
    _pack_ids(out, ids)
    texts = _pack_texts(out, queries, policy)
    oldest, newest = out.floats(times)
    if not -_LATEST < oldest <= newest < _LATEST:
        raise ValueError("a timestamp is no Unix time in seconds")
    for durations in (latency, memory, results):
        out.floats(durations)
    for shares in (accuracy, satisfaction):
        out.floats(shares, exact=True)
    kinds_of_error, error_places = numbered(errors)
    shown_errors = [without_quotes(error, policy) or "" for error in kinds_of_error]
    for distinct, places in (numbered(types), (shown_errors, error_places), numbered(source)):
        out.strings(distinct)
        out.ints(places)
    out.ints(bytes(map(_FLAGS.__getitem__, zip(hits, success, parallel, partial_, strict=True))))
    out.ints(concurrency)
    out.ints(config)
    _pack_layers(out, tasks, timed, queried)
    return Encoded(out.packed(), len(records), 0, oldest, newest, texts)


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


def _pack_texts(out: Packer, queries: Sequence[str], policy: TextPolicy) -> dict[int, str]:
    distinct, places = numbered(queries)
    if not {str}.issuperset(map(type, distinct)):
        raise TypeError("a query text must be a text")
    keys = list(map(text_id, distinct))
    out.raw(len(keys).to_bytes(4, "little"))
    out.ints(bytes(len(keys)) if policy is TextPolicy.DROP else keys)
    out.ints(places)
    return dict(zip(keys, distinct, strict=True)) if policy is TextPolicy.KEEP else {}


def _pack_layers(
    out: Packer,
    tasks: Sequence[Sequence[LayerTask]],
    timed: Sequence[dict[str, float]],
    queried: Sequence[Sequence[str]],
) -> None:
    """Write the tasks, the layers' times and the layers asked; mostly the three name the same layers."""
    flat = list(chain.from_iterable(tasks))
    if not {LayerTask}.issuperset(map(type, flat)):
        raise TypeError("tasks must be LayerTask records")
    by_task: tuple[Any, ...] = tuple(zip(*flat, strict=True)) or ((),) * 7
    layers, offsets, queues, services, in_flight, outcomes, results = by_task
    times = tuple(chain.from_iterable(map(dict.values, timed)))
    groups = [
        (tuple(map(len, tasks)), layers),
        (tuple(map(len, timed)), tuple(chain.from_iterable(timed))),
        (tuple(map(len, queried)), tuple(chain.from_iterable(queried))),
    ]
    names = {name: place for place, name in enumerate(dict.fromkeys(chain(*(group[1] for group in groups))))}
    out.strings(list(names))
    before = None
    for group in groups:
        out.raw(b"\1" if group == before else b"\0")
        if group != before:
            out.ints(group[0])
            out.ints(list(map(names.__getitem__, group[1])))
        before = group
    for durations in (offsets, queues, services):
        out.floats(durations)
    for whole in (in_flight, list(map(_OUTCOME_PLACE.__getitem__, outcomes)), results):
        out.ints(whole)
    out.raw(b"\1" if times == services else b"\0")
    if times != services:
        out.floats(times)


class Segment:
    """The columns of one batch. Row ``i`` of every record column is record ``i``.

    A text, type, error or source is a place in the list of distinct values. ``tasks_at[i]`` to
    ``tasks_at[i + 1]`` are the task rows of record ``i``; the same with ``timed_at`` and ``queried_at``.

    Args:
        data: from ``encode``.

    Raises:
        ValueError: if the bytes are of another version or damaged.
    """

    def __init__(self, data: bytes) -> None:
        source = Unpacker(data)
        version, n = _HEAD.unpack(source.raw(_HEAD.size))
        if version != VERSION:
            raise ValueError(f"a segment of version {version}; this program reads version {VERSION}")
        self.n = n
        self._prefix, self._id = _unpack_ids(source, n)
        self.text_ids: list[int] = source.ints(int.from_bytes(source.raw(4), "little")).tolist()
        self.text = source.ints(n)
        self.time, self.latency, self.memory, self.results = (source.floats(n) for _ in range(4))
        self.accuracy, self.satisfaction = source.floats(n), source.floats(n)
        self.types, self.type = source.strings(), source.ints(n)
        self.errors, self.error = source.strings(), source.ints(n)
        self.sources, self.source = source.strings(), source.ints(n)
        self.flags, self.concurrency, self.config = source.ints(n), source.ints(n), source.ints(n)
        self.layers = source.strings()
        groups: list[tuple[Ints, Ints]] = []
        for _ in range(3):
            if source.raw(1) == b"\1":
                groups.append(groups[-1])
                continue
            at = np.concatenate([[0], np.cumsum(source.ints(n))])
            groups.append((at, source.ints(int(at[-1]))))
        (self.tasks_at, self.task_layer), (self.timed_at, self.timed_layer) = groups[:2]
        self.queried_at, self.queried_layer = groups[2]
        m = len(self.task_layer)
        self.offset, self.queue, self.service = (source.floats(m) for _ in range(3))
        self.in_flight, self.outcome, self.task_results = (source.ints(m) for _ in range(3))
        shared = source.raw(1) == b"\1"
        self.timed = self.service if shared else source.floats(len(self.timed_layer))

    def query_ids(self) -> list[str]:
        """Return the id of each record."""
        return [f"{self._prefix}{tail}" for tail in self._id.tolist()]

    def since(self, time: float) -> Segment:
        """Return the rows that are not older than ``time`` (Unix seconds)."""
        return self.where(self.time >= time)

    def where(self, keep: npt.NDArray[np.bool_]) -> Segment:
        """Return some of the rows."""
        if keep.all():
            return self
        part = copy.copy(self)
        part.n = int(keep.sum())
        for name in _RECORD_COLUMNS:
            setattr(part, name, getattr(self, name)[keep])
        for edges, columns in _LAYER_COLUMNS.items():
            sizes = np.diff(getattr(self, edges))
            setattr(part, edges, np.concatenate([[0], np.cumsum(sizes[keep])]))
            rows = np.repeat(keep, sizes)
            for name in columns:
                setattr(part, name, getattr(self, name)[rows])
        return part

    def texts(self, kept: Mapping[int, str]) -> list[str]:
        """Return the texts of ``text_ids``; one that is not kept is shown as its hash."""
        return [kept.get(key) or hash_shown(key) for key in self.text_ids]

    def records(self, texts: Mapping[int, str]) -> list[QueryMetrics]:
        """Return the batch as records; a text that is not in ``texts`` is shown as its hash."""
        shown = self.texts(texts)
        columns = (
            self.query_ids(),
            _named(shown, self.text),
            _named(self.types, self.type),
            self.time.tolist(),
            _known(self.latency),
            _known(self.memory),
            _flags(self.flags, CACHE_KNOWN, CACHE_HIT),
            [None if value is None else int(value) for value in _known(self.results)],
            self._parts(self.queried_at, _named(self.layers, self.queried_layer)),
            self._times(),
            _flags(self.flags, SUCCESS_KNOWN, SUCCESS),
            _named([error or None for error in self.errors], self.error),
            (self.flags & PARALLEL).astype(bool).tolist(),
            self.concurrency.tolist(),
            _known(self.accuracy),
            _known(self.satisfaction),
            self._tasks(),
            (self.flags & PARTIAL).astype(bool).tolist(),
            self.config.tolist(),
            _named(self.sources, self.source),
        )
        return list(map(partial(tuple.__new__, QueryMetrics), zip(*columns, strict=True)))

    def _parts(self, at: Ints, flat: list[Any]) -> list[list[Any]]:
        edges = at.tolist()
        return [flat[a:b] for a, b in pairwise(edges)]

    def _times(self) -> list[dict[str, float]]:
        pairs = list(zip(_named(self.layers, self.timed_layer), self.timed.tolist(), strict=True))
        return list(map(dict, self._parts(self.timed_at, pairs)))

    def _tasks(self) -> list[tuple[LayerTask, ...]]:
        columns = (
            _named(self.layers, self.task_layer),
            self.offset.tolist(),
            self.queue.tolist(),
            self.service.tolist(),
            self.in_flight.tolist(),
            _named(OUTCOMES, self.outcome),
            self.task_results.tolist(),
        )
        flat = list(map(partial(tuple.__new__, LayerTask), zip(*columns, strict=True)))
        return list(map(tuple, self._parts(self.tasks_at, flat)))


def joined(segments: Sequence[Segment]) -> Segment:
    """Return the rows of several segments one after the other, with one list of names for all.

    Args:
        segments: at least one.
    """
    if len(segments) == 1:
        return segments[0]
    whole = copy.copy(segments[0])
    whole.n = sum(part.n for part in segments)
    whole._prefix = ""
    whole._id = np.array([name for part in segments for name in part.query_ids()], object)
    for names, columns in _NAMED_COLUMNS.items():
        numbers: dict[Any, int] = {}
        tables = [
            np.array([numbers.setdefault(name, len(numbers)) for name in getattr(part, names)], np.int64)
            for part in segments
        ]
        setattr(whole, names, list(numbers))
        for column in columns:
            parts = [table[getattr(part, column)] for table, part in zip(tables, segments, strict=True)]
            setattr(whole, column, np.concatenate(parts))
    renamed = {"_id", *chain.from_iterable(_NAMED_COLUMNS.values())}
    for column in (*_RECORD_COLUMNS, *chain.from_iterable(_LAYER_COLUMNS.values())):
        if column not in renamed:
            setattr(whole, column, np.concatenate([getattr(part, column) for part in segments]))
    for edges in _LAYER_COLUMNS:
        sizes = np.concatenate([np.diff(getattr(part, edges)) for part in segments])
        setattr(whole, edges, np.concatenate([[0], np.cumsum(sizes)]))
    return whole


def _unpack_ids(source: Unpacker, n: int) -> tuple[str, npt.NDArray[Any]]:
    if source.raw(1) == b"\1":
        return source.strings()[0], source.ints(n)
    return "", np.array(source.strings(), object)


def _named(names: Sequence[Any], places: Ints) -> list[Any]:
    return [names[place] for place in places.tolist()]


def _known(values: Floats) -> list[float | None]:
    known: list[float | None] = values.tolist()
    if np.isnan(values).any():
        return [None if math.isnan(value) else value for value in values.tolist()]
    return known


def _flags(flags: Ints, known: int, true: int) -> list[bool | None]:
    meaning = {0: None, known: False, known | true: True}
    return [meaning[flag] for flag in (flags & (known | true)).tolist()]
