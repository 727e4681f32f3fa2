"""What a caller asks of a memory."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from athena_tuning.recall.items import MAX_TEXT

MAX_K = 1000

_NO_CONTEXT: Mapping[str, Any] = MappingProxyType({})

P = ParamSpec("P")
M = TypeVar("M")
R = TypeVar("R")


@dataclass(slots=True)
class RecallRequest:
    """A recall as its caller asks for it: the one list of what ``recall`` and ``arecall`` take.

    Attributes:
        query: what to look for.
        context: ``{"phase": "debugging"}`` asks the episodic layer too; ``{"track_memory": True}`` measures
            the peak of Python memory, which costs. Layers see it as ``query.context``.
        k: items of each layer, 1 to 1000.
        scope: only items of this project or conversation.
        use_cache: a repeated answer will do. The config must allow it too.
        use_parallel: ask the layers at the same time. The config must allow it too.
        started: monotonic seconds at which it was asked.

    Raises:
        ValueError: if an argument makes no sense; the message names it and its value.
    """

    query: str
    context: Mapping[str, Any] | None = None
    k: int = 5
    scope: str | None = None
    use_cache: bool = True
    use_parallel: bool = True
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = time.monotonic()
        _check(self.query, self.context, self.k, self.scope)
        self.context = dict(self.context) if self.context else _NO_CONTEXT


def takes(
    make: Callable[P, RecallRequest],
) -> Callable[[Callable[[M, RecallRequest], R]], Callable[Concatenate[M, P], R]]:
    """Let a method of a request be called with what the request is made of.

    Example:
        >>> class Echo:
        ...     @takes(RecallRequest)
        ...     def recall(self, request):
        ...         return request.query, request.k
        >>> Echo().recall("last deploy?", k=3)
        ('last deploy?', 3)
    """

    def decorate(method: Callable[[M, RecallRequest], R]) -> Callable[Concatenate[M, P], R]:
        def call(self: M, /, *args: P.args, **kwargs: P.kwargs) -> R:
            return method(self, make(*args, **kwargs))

        async def acall(self: M, /, *args: P.args, **kwargs: P.kwargs) -> Any:
            return await cast("Awaitable[Any]", method(self, make(*args, **kwargs)))

        made = functools.wraps(method)(acall if inspect.iscoroutinefunction(method) else call)
        own, of_request = inspect.signature(method), inspect.signature(make)
        this = next(iter(own.parameters.values()))
        vars(made)["__signature__"] = own.replace(parameters=[this, *of_request.parameters.values()])
        return cast("Callable[Concatenate[M, P], R]", made)

    return decorate


def _check(query: Any, context: Any, k: Any, scope: Any) -> None:
    if not isinstance(query, str) or not query.strip():
        raise ValueError(f"the query must be text that is not empty, not {query!r:.80}")
    if len(query) > MAX_TEXT:
        raise ValueError(f"the query has {len(query):,} characters; at most {MAX_TEXT:,} are read")
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MAX_K:
        raise ValueError(f"k must be a whole number from 1 to {MAX_K}, not {k!r:.80}")
    if context is not None and not isinstance(context, Mapping):
        raise ValueError(f"context must be a mapping or None, not {context!r:.80}")
    if scope is not None and not isinstance(scope, str):
        raise ValueError(f"scope must be text or None, not {scope!r:.80}")
