"""Measures queries of any system: a ``with`` around the query, one around each layer's share of it."""

from __future__ import annotations

import functools
import inspect
import itertools
import math
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from athena_tuning import fork
from athena_tuning.model import ConfigSet, LayerTask, QueryMetrics, TaskOutcome
from athena_tuning.model.source import current_source
from athena_tuning.profiling.overlap import most_at_once, time_covered

P = ParamSpec("P")
R = TypeVar("R")
_Traced = type[BaseException] | None

_OK, _ERROR, _TIMEOUT = TaskOutcome.OK, TaskOutcome.ERROR, TaskOutcome.TIMEOUT
_NAN = math.nan
_new = tuple.__new__  # the records' own checks and defaults are not needed here, and cost as much as the rest
_blank = object.__new__  # a constructor call less a layer is a tenth of the whole
_current: ContextVar[MeasuredQuery | None] = ContextVar("athena_tuning_query", default=None)


class Measure:
    """Measures queries for a profiler, which has one as ``profiler.measure``.

    A query of three layers costs about 3 µs; its record is put together when somebody reads it. All of it may
    be used from any thread and any task.

    Args:
        record: takes each query as it ends and asks for its ``metrics()`` when they are read; a profiler's
            ``record_query``.
        clock: Unix seconds.
        timer: seconds that only grow.

    Attributes:
        configs: those in force; each query that begins notes the version for its type. Whoever obeys configs
            keeps them up to date.

    Examples:
        >>> from athena_tuning.profiling import PerformanceProfiler
        >>> profiler = PerformanceProfiler()
        >>> with profiler.measure("last deploy?", "temporal") as query:
        ...     with query.layer("semantic") as layer:
        ...         found = ["Friday 17:00"]
        ...         layer.result_count = len(found)
        >>> m = profiler.metrics[-1]
        >>> m.layers_queried, m.success, m.result_count
        (['semantic'], True, 1)
    """

    def __init__(
        self,
        record: Callable[[MeasuredQuery], None],
        *,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.configs = ConfigSet()
        self._record = record
        self._clock = clock
        self._timer = timer
        self._running: list[None] = []  # its length counts layers at work; a list changes in one step
        self._numbers = itertools.count(1)
        self._prefix = _prefix()
        fork.register(self)

    def renew_after_fork(self) -> None:
        """In a forked child give ids of its own; what was at work is the parent's."""
        self._prefix = _prefix()
        self._running.clear()

    def __call__(
        self, query_text: str, query_type: str = "unknown", query_id: str | None = None
    ) -> MeasuredQuery:
        """Return a query to be measured by ``with`` or ``async with``.

        Args:
            query_text: what is asked.
            query_type: what kind of query it is.
            query_id: unique id; None: one is made.
        """
        query = _blank(MeasuredQuery)
        query._measure = self
        query._timer = self._timer
        query._running = self._running
        query._id = query_id
        query._number = next(self._numbers)
        query._text = query_text
        query.query_type = query_type
        query._shares = []
        query._failure = None
        query._uses = None
        query.result_count = query.cache_hit = query.memory_mb = query.user_satisfaction = None
        return query

    def query(
        self, query_type: str = "unknown", *, text: Callable[..., str] | None = None
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Return a decorator that measures every call of a function, or coroutine function, as a query.

        Args:
            query_type: what kind of query it is.
            text: gives what is asked from the call's arguments; None: the first argument.

        Raises:
            TypeError: on a function that yields: a call of it takes no time.

        Examples:
            >>> from athena_tuning.profiling import PerformanceProfiler
            >>> profiler = PerformanceProfiler()
            >>> measure = profiler.measure
            >>> @measure.layer("semantic")
            ... def semantic(text):
            ...     return [text.upper()]
            >>> @measure.query("factual")
            ... def search(text):
            ...     return semantic(text)
            >>> search("tea"), profiler.metrics[0].query_text, profiler.metrics[0].layers_queried
            (['TEA'], 'tea', ['semantic'])
        """

        def open_query(args: Any, kwargs: Any) -> _Current:
            label = text(*args, **kwargs) if text else next(iter((*args, *kwargs.values())), "")
            return _Current(self(str(label), query_type))

        return _around(open_query)

    @contextmanager
    def around(self, query_text: str, query_type: str = "unknown") -> Iterator[MeasuredQuery]:
        """Measure a query that decorated layers, and ``current_query``, know as the one around them.

        Args:
            query_text: what is asked.
            query_type: what kind of query it is.
        """
        query = self(query_text, query_type)
        with _Current(query):
            yield query

    def layer(self, name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Return a decorator that measures every call as a layer's share of the query around it.

        The query is that of the decorated function which is under way in this task or thread; outside of one
        nothing is measured. A list or tuple that is returned is counted. In a ``with`` use ``query.layer``; a
        ``ContextPool`` carries the query into its threads.
        """

        def open_layer(*_: Any) -> MeasuredLayer | None:
            query = _current.get()
            return None if query is None else query.layer(name)

        return _around(open_layer)


def current_query() -> MeasuredQuery | None:
    """Return the query that is under way in this task or thread by ``around`` or a decorator, if one is."""
    return _current.get()


def _prefix() -> str:
    return f"{uuid.uuid4().hex[:12]}-"


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

    _measure: Measure
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


def settled(tasks: Sequence[LayerTask]) -> tuple[list[LayerTask], int]:
    """Return the tasks in the order of their start, one a layer, and how many ran at once at most."""
    by_layer: dict[str, list[LayerTask]] = {}
    for task in sorted(tasks, key=lambda task: task.offset_ms):
        by_layer.setdefault(task.layer, []).append(task)
    return [_merged(parts) for parts in by_layer.values()], most_at_once(map(_interval, tasks))


def _merged(parts: list[LayerTask]) -> LayerTask:
    """Return several calls of one layer as one task; its service time is when at least one was at work."""
    first = parts[0]
    if len(parts) == 1:
        return first
    return first._replace(
        service_ms=time_covered(map(_interval, parts)),
        in_flight=max(part.in_flight for part in parts),
        outcome=next((part.outcome for part in parts if part.outcome is not _OK), _OK),
        result_count=sum(part.result_count for part in parts),
    )


def _interval(task: LayerTask) -> tuple[float, float]:
    started = task.offset_ms + task.queue_ms
    return started, started + task.service_ms


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


class _Current:
    """Lets decorated layers know the query around them."""

    def __init__(self, query: MeasuredQuery) -> None:
        self._query = query

    def __enter__(self) -> None:
        self._token = _current.set(self._query)
        self._query.__enter__()

    def __exit__(self, kind: _Traced, exc: BaseException | None, trace: TracebackType | None) -> None:
        _current.reset(self._token)
        self._query.__exit__(kind, exc, trace)


def _counted(found: R, share: object) -> R:
    """Note how many results a layer returned."""
    if isinstance(share, MeasuredLayer) and isinstance(found, (list, tuple)):
        share.result_count = len(found)
    return found


def _around(enter: Callable[[Any, Any], Any]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that runs each call inside of what ``enter`` gives, if it gives something."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"{function.__qualname__} yields, and its time passes while others use what it gave: "
                "measure it by `with` where it is used"
            )
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def measured_later(*args: P.args, **kwargs: P.kwargs) -> Any:
                share = enter(args, kwargs)
                if share is None:
                    return await function(*args, **kwargs)
                with share:
                    return _counted(await function(*args, **kwargs), share)

            return measured_later  # type: ignore[return-value]

        @functools.wraps(function)
        def measured(*args: P.args, **kwargs: P.kwargs) -> R:
            share = enter(args, kwargs)
            if share is None:
                return function(*args, **kwargs)
            with share:
                return _counted(function(*args, **kwargs), share)

        return measured

    return decorate
