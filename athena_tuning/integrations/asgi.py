"""Middleware for ASGI applications (FastAPI, Starlette and others): a request is a query."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl

from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.profiling.measure import MeasuredLayer, current_query

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_QUESTIONS = ("q", "query", "question", "text", "prompt")
_FAILED = 500


class QueryMiddleware:
    """Records each request for a profiler: what ``layer`` measures inside of it are its layers.

    A request that ends with a status of 500 or above, or by an exception, has failed. What is asked is the
    parameter ``q``, ``query``, ``question``, ``text`` or ``prompt`` of the address, its type is the path of
    the route. Lifespan and websockets are passed on.

    Args:
        app: the application.
        profiler: takes the records.
        paths: beginnings of the paths that are queries; None: all.
        text: gives what is asked by the request's scope, in place of the parameter.

    Examples:
        >>> import asyncio
        >>> async def app(scope, receive, send):
        ...     with layer("semantic") as share:
        ...         share.result_count = 2
        ...     await send({"type": "http.response.start", "status": 200})
        >>> async def nothing(message=None):
        ...     pass
        >>> profiler = PerformanceProfiler()
        >>> scope = {"type": "http", "path": "/search", "query_string": b"q=tea%3F"}
        >>> asyncio.run(QueryMiddleware(app, profiler)(scope, nothing, nothing))
        >>> m = profiler.metrics[0]
        >>> m.query_text, m.query_type, m.layers_queried, m.result_count
        ('tea?', '/search', ['semantic'], 2)
    """

    def __init__(
        self,
        app: App,
        profiler: PerformanceProfiler,
        *,
        paths: Collection[str] | None = None,
        text: Callable[[Scope], str] | None = None,
    ) -> None:
        self._app = app
        self._measure = profiler.measure
        self._paths = None if paths is None else tuple(paths)
        self._text = text or _question

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, and record it once it has ended."""
        if scope["type"] != "http" or not (self._paths is None or scope["path"].startswith(self._paths)):
            await self._app(scope, receive, send)
            return
        with self._measure.around(self._text(scope), scope["path"]) as query:

            async def watched(message: Any) -> None:
                if message["type"] == "http.response.start" and message["status"] >= _FAILED:
                    query.fail(f"status {message['status']}")
                await send(message)

            try:
                await self._app(scope, receive, watched)
            finally:
                query.query_type = getattr(scope.get("route"), "path", None) or scope["path"]


@contextmanager
def layer(name: str) -> Iterator[MeasuredLayer]:
    """Measure a layer's share of the request that is served; outside of one nothing is recorded.

    Args:
        name: of the layer.
    """
    query = current_query()
    if query is None:
        yield MeasuredLayer()
        return
    with query.layer(name) as share:
        yield share


def _question(scope: Scope) -> str:
    parameters = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
    return next((parameters[name] for name in _QUESTIONS if name in parameters), str(scope["path"]))
