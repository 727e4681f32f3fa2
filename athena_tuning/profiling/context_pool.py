"""A pool of threads in which each call runs in the context variables of whoever submitted it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class ContextPool(ThreadPoolExecutor):
    """A ``ThreadPoolExecutor`` whose calls know the query around them: layers in its threads are measured.

    Traces of OpenTelemetry and other context variables come along too. It is made and used as the
    ``ThreadPoolExecutor`` of the standard library.

    Examples:
        >>> from athena_tuning.profiling import PerformanceProfiler
        >>> profiler = PerformanceProfiler()
        >>> layer, query = profiler.measure.layer, profiler.measure.query
        >>> with ContextPool(2) as pool:
        ...     @query("factual")
        ...     def search(text):
        ...         futures = [pool.submit(layer(name)(str.split), text) for name in ("semantic", "graph")]
        ...         return [future.result() for future in futures]
        ...     found = search("who owns billing?")
        >>> sorted(profiler.metrics[0].layers_queried), profiler.metrics[0].result_count
        (['graph', 'semantic'], 6)
    """

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Have ``fn`` called in the context variables of now."""
        context = copy_context()
        return super().submit(lambda: context.run(fn, *args, **kwargs))
