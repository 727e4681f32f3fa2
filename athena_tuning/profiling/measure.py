"""Measures queries of any system: a ``with`` around the query, one around each layer's share of it."""

from __future__ import annotations

import functools
import inspect
import itertools
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from athena_tuning import fork
from athena_tuning.model import ConfigSet
from athena_tuning.profiling.measured_query import MeasuredLayer, MeasuredQuery
from athena_tuning.profiling.settled_tasks import settled

__all__ = ["Measure", "MeasuredLayer", "MeasuredQuery", "current_query", "settled"]

P = ParamSpec("P")
R = TypeVar("R")
_Traced = type[BaseException] | None

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


def _counted(result: R, share: object) -> R:
    """Note how many results a layer returned."""
    if isinstance(share, MeasuredLayer) and isinstance(result, (list, tuple)):
        share.result_count = len(result)
    return result


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
