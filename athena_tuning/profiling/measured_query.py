"""A query that is being measured and its layers' shares: what is noted while they run, and their record."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

from athena_tuning.model import ConfigSet, LayerTask, QueryMetrics, TaskOutcome
from athena_tuning.model.source import current_source
from athena_tuning.profiling.settled_tasks import settled

_Traced = type[BaseException] | None

_OK, _ERROR, _TIMEOUT = TaskOutcome.OK, TaskOutcome.ERROR, TaskOutcome.TIMEOUT
_NAN = math.nan
_new = tuple.__new__  # the records' own checks and defaults are not needed here, and cost as much as the rest
_blank = object.__new__  # a constructor call less a layer is a tenth of the whole


class _Measuring(Protocol):
    """What a query needs of the ``Measure`` that it is measured by."""

    configs: ConfigSet
    _prefix: str
    _clock: Callable[[], float]
    _record: Callable[[MeasuredQuery], None]


class MeasuredQuery:
    """One query on its way.

    An exception that leaves it is passed on, and the query counts as failed; if the query was cancelled, or
    the program is told to end, how it would have ended stays unknown. If only layers fail, it fails if all
    of them do, and is partial otherwise.

    Attributes:
        query_type: can be set while it runs, if it is known only then.
        result_count: items returned; if it is not set, the sum of the layers'.
        cache_hit: set it where a cache might have answered; else it stays unknown.
        memory_mb: peak memory, if it is measured.
        user_satisfaction: feedback, 0 to 1.
    """

    __slots__ = (
        "_configs",
        "_counted",
        "_ended",
        "_failure",
        "_id",
        "_measure",
        "_number",
        "_running",
        "_shares",
        "_source",
        "_started",
        "_text",
        "_timer",
        "_timestamp",
        "_uses",
        "cache_hit",
        "memory_mb",
        "query_type",
        "result_count",
        "user_satisfaction",
    )

    _measure: _Measuring
    _timer: Callable[[], float]
    _running: list[None]
    _id: str | None
    _number: int
    _text: str
    _shares: list[MeasuredLayer]
    _counted: list[MeasuredLayer]
    _failure: tuple[str, bool] | None
    _configs: ConfigSet
    _source: str
    _timestamp: float
    _started: float
    _ended: float
    _uses: dict[str, int] | None
    query_type: str
    result_count: int | None
    cache_hit: bool | None
    memory_mb: float | None
    user_satisfaction: float | None

    @property
    def query_id(self) -> str:
        """Its id: what feedback on its answer names."""
        return self._id or f"{self._measure._prefix}{self._number}"

    def layer(self, name: str, queue_ms: float = 0.0) -> MeasuredLayer:
        """Return a layer's share of this query, to be measured by ``with`` or ``async with``.

        Args:
            name: of the layer.
            queue_ms: how long it has just waited for a slot, if there is a limit.
        """
        share = _blank(MeasuredLayer)
        share._query = self
        share._name = name
        share._queue_ms = queue_ms
        share._outcome = _OK
        share.result_count = 0
        return share

    def fail(self, error: str) -> None:
        """Let the query count as failed, though no exception leaves it.

        Args:
            error: what failed.
        """
        self._failure = error, True

    def used(self, layer: str, results: int = 1) -> None:
        """Tell that some of a layer's results are part of the answer; of layers not told of, none are.

        A ``Control`` learns from it which layers a type of query can do without. Calls for a layer add up.

        Args:
            layer: its name, as it was measured.
            results: how many; 0 tells that none are.

        Raises:
            ValueError: if that is no whole number from 0 on.
            RuntimeError: if the query has ended.
        """
        if type(results) is not int or results < 0:
            raise ValueError(f"results that were used are a whole number from 0 on, not {results!r:.80}")
        if hasattr(self, "_ended"):
            raise RuntimeError(f"the query {self.query_id!r} has ended: tell it inside its `with`")
        self._uses = self._uses or {}
        self._uses[layer] = self._uses.get(layer, 0) + results

    @property
    def uses(self) -> Mapping[str, int] | None:
        """How many results of each layer are part of the answer; None if nobody told."""
        return self._uses

    def __enter__(self) -> Self:
        measure = self._measure
        self._configs = measure.configs
        self._source = current_source()
        self._timestamp = measure._clock()
        self._started = self._timer()
        return self

    def __exit__(self, kind: _Traced, exc: BaseException | None, _: TracebackType | None) -> None:
        self._ended = self._timer()
        self._counted, self._shares = self._shares, []  # a layer that ends after its query is not waited for
        if kind is not None:
            self._failure = f"{kind.__name__}: {exc}", issubclass(kind, Exception)
        self._measure._record(self)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, kind: _Traced, exc: BaseException | None, trace: TracebackType | None) -> None:
        self.__exit__(kind, exc, trace)

    def metrics(self) -> QueryMetrics:
        """Return the record of this query, once it has ended. Whoever reads it pays for it, not the query."""
        configs, begun = self._configs, self._started
        latency: float | None = (self._ended - begun) * 1000.0
        tasks: Sequence[LayerTask]
        tasks = one_by_one = []
        timed = {}
        ended = begun
        at_once = 1
        count = self.result_count or 0
        ok = self._failure is None
        for share in self._counted:
            started = share._started
            if started < ended:
                at_once = 2  # or more
            ended = share._ended
            name, queue_ms, results, outcome = (
                share._name,
                share._queue_ms,
                share.result_count,
                share._outcome,
            )
            timed[name] = service = (ended - started) * 1000.0
            count += results
            ok = ok and outcome is _OK
            offset = (started - begun) * 1000.0 - queue_ms
            one_by_one.append(
                _new(LayerTask, (name, offset, queue_ms, service, share._in_flight, outcome, results))
            )
        if at_once > 1 or len(timed) < len(tasks):
            tasks, at_once = settled(tasks)
            timed = {task.layer: task.service_ms for task in tasks}
        success: bool | None = True
        partial, error = False, None
        if not ok:
            success, partial, error = _failure(tasks, self._failure)
            if success is None:
                latency = None
        return _new(
            QueryMetrics,
            (
                self.query_id,
                self._text,
                self.query_type,
                self._timestamp,
                latency,
                self.memory_mb,
                self.cache_hit,
                (count or None) if self.result_count is None else self.result_count,
                list(timed),
                timed,
                success,
                error,
                at_once > 1,
                at_once,
                _NAN,
                self.user_satisfaction,
                tuple(tasks),
                partial,
                configs.by_type.get(self.query_type, configs.default).version,
                self._source,
            ),
        )


class MeasuredLayer:
    """One layer's share of a query on its way. An exception that leaves it is passed on and noted.

    Attributes:
        result_count: items found; 0 if it is not set.
    """

    __slots__ = (
        "_ended",
        "_in_flight",
        "_name",
        "_outcome",
        "_query",
        "_queue_ms",
        "_started",
        "result_count",
    )

    _query: MeasuredQuery
    _name: str
    _queue_ms: float
    _outcome: TaskOutcome
    _in_flight: int
    _started: float
    _ended: float
    result_count: int

    def __enter__(self) -> Self:
        query = self._query
        running = query._running
        running.append(None)
        self._in_flight = len(running)
        self._started = query._timer()
        return self

    def __exit__(self, kind: _Traced, _: BaseException | None, __: TracebackType | None) -> None:
        query = self._query
        self._ended = query._timer()
        query._running.pop()
        if kind is not None:
            self._outcome = _TIMEOUT if issubclass(kind, TimeoutError) else _ERROR
        query._shares.append(self)
        del self._query  # they would keep each other from being freed at once

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, kind: _Traced, exc: BaseException | None, trace: TracebackType | None) -> None:
        self.__exit__(kind, exc, trace)


def _failure(
    tasks: Sequence[LayerTask], raised: tuple[str, bool] | None
) -> tuple[bool | None, bool, str | None]:
    """Return success, whether the answer is partial, and what failed."""
    if raised is not None:
        error, ended_by_itself = raised
        return False if ended_by_itself else None, False, error
    failed = [task for task in tasks if task.outcome is not _OK]
    answered = len(failed) < len(tasks)
    return answered, answered, "; ".join(f"{task.layer}: {task.outcome}" for task in failed)
