"""What is to be done for a query, and how it went: one record a layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from athena_tuning.model import TaskOutcome


def is_coroutine_function(function: Any) -> bool:
    """Whether calling ``function`` gives a coroutine and does nothing else.

    A decorator around a coroutine function is none: what it does by itself belongs in a thread.
    """
    try:
        own = inspect.iscoroutinefunction(function)
        return own or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004
    except BaseException:  # noqa: BLE001  (a stranger's attributes)
        return False


class QueryTask(NamedTuple):
    """One layer's share of a query.

    Attributes:
        layer_name: whose share.
        query_fn: a function, or a coroutine function; a function runs in a thread. What it returns is
            awaited on an event loop if it can be.
        args: its positional arguments.
        kwargs: its keyword arguments.
        timeout_seconds: longest service time; waiting for a slot does not count.
        takes_deadline: give it, after ``args``, the ``time.monotonic()`` until which its answer is of use.
        keeps_deadline: it returns or raises ``TimeoutError`` by its deadline without being watched, so that
            it may run in the caller's own thread, which saves handing it over.
        on_caller_loop: where the caller awaits, a coroutine runs on the caller's own event loop, so that it
            can use what belongs to that loop; else on the executor's.
        read: makes the result of what the function returned, within the same slot and timeout.
        coroutine: whether the function is a coroutine function; None: it is looked at.
        second_after: call it a second time if it has not answered after so many seconds and there is room;
            the first answer counts. None: never; infinite: not yet, but learn how long it takes.
    """

    layer_name: str
    query_fn: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = MappingProxyType({})
    timeout_seconds: float = 10.0
    takes_deadline: bool = False
    keeps_deadline: bool = False
    on_caller_loop: bool = False
    read: Callable[[Any], Any] | None = None
    coroutine: bool | None = None
    second_after: float | None = None

    @property
    def is_coroutine(self) -> bool:
        """Whether the function can be called on an event loop: it only makes a coroutine."""
        return is_coroutine_function(self.query_fn) if self.coroutine is None else self.coroutine


class SecondCall(NamedTuple):
    """A second call of a layer whose first one was slow.

    Attributes:
        won: whether it answered first.
        offset_ms: from the start of the whole to its own.
        elapsed_ms: until the first answer came, from whichever.
        in_flight: slots taken when it got its own, that one included.
    """

    won: bool
    offset_ms: float
    elapsed_ms: float
    in_flight: int


class ExecutionResult(NamedTuple):
    """How one layer's share went.

    Attributes:
        layer_name: whose share.
        success: whether there is a result.
        result: what the layer gave.
        error: why there is none.
        elapsed_ms: service time; 0 if it never got a slot, what had passed if it was given up.
        queue_ms: wait for a slot (and for a thread), before the service time.
        offset_ms: from the start of the whole to when it asked for a slot.
        in_flight: slots taken when it got its own, that one included; 0 if it got none.
        outcome: ok, timeout or error.
        of_layer: whether it tells something about the layer; not if it got no slot, was given up by the
            caller, or another layer blocked its event loop.
        at_deadline: whether it was given up because the whole query was over.
        second: the second call, if there was one.
    """

    layer_name: str
    success: bool
    result: Any = None
    error: str | None = None
    elapsed_ms: float = 0.0
    queue_ms: float = 0.0
    offset_ms: float = 0.0
    in_flight: int = 0
    outcome: TaskOutcome = TaskOutcome.OK
    of_layer: bool = True
    at_deadline: bool = False
    second: SecondCall | None = None
