"""A layer as a manager keeps it: what it says of itself, looked at once, and what becomes of it."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, Literal

from athena_tuning.model.metrics import SECOND_CALL
from athena_tuning.recall.execution.failure import brief, describe
from athena_tuning.recall.execution.task import QueryTask, is_coroutine_function
from athena_tuning.recall.items import LayerQuery
from athena_tuning.recall.layers.base import Layer
from athena_tuning.recall.snapshot import Snapshot, read_items

logger = logging.getLogger(__name__)

EventLoopChoice = Literal["caller", "manager"]

_NO_ARGUMENTS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class RegisteredLayer:
    """A layer that recalls can ask. What is optional in a ``Layer`` has its value here.

    Attributes:
        name: unique among a manager's layers.
        layer: the layer itself.
        keeps_deadline: whether it may run in the caller's own thread.
        items_are_new: whether it makes the dictionaries that it gives anew for each call.
        cache_seconds: how long its answers may be repeated; None: as long as its name's.
        stale_seconds: how much longer the last good answer may stand in for one while the layer is down.
        on_caller_loop: whether its coroutine runs on the loop of a caller that awaits.
        open: sets it up before it is asked; None: nothing to do.
        close: ends it with its manager; None: nothing to do.
        probe: tries outside of recalls whether it is well; None: recalls try.
        function: its ``search`` when it was registered.
        is_coroutine: whether that is a coroutine function.
        after: layers whose finds it wants to see.
        idempotent: whether a search may be made twice: it changes nothing, and either answer will do.
    """

    name: str
    layer: Layer
    keeps_deadline: bool
    items_are_new: bool
    cache_seconds: float | None
    stale_seconds: float
    on_caller_loop: bool
    open: Callable[[], Any] | None
    close: Callable[[], Any] | None
    probe: Callable[[float], Any] | None
    function: Any
    is_coroutine: bool
    after: tuple[str, ...] = ()
    idempotent: bool = False

    def task(
        self, query: LayerQuery, limit: int, timeout_seconds: float, second_after: float | None = None
    ) -> QueryTask:
        """Return what asks the layer.

        Args:
            query: what to ask.
            limit: items at most.
            timeout_seconds: longest service time.
            second_after: seconds after which it is asked a second time; None: never.
        """
        try:
            search = self.layer.search
            same = getattr(search, "__func__", search) is self.function
        except BaseException as exc:  # noqa: BLE001  (a stranger's attribute)
            search, same = _failing(exc), False
        task = (
            self.name,
            search,
            (query, limit),
            _NO_ARGUMENTS,
            timeout_seconds,
            True,
            self.keeps_deadline,
            self.on_caller_loop,
            _reader(self.name, limit, self.items_are_new),
            self.is_coroutine if same else None,
            second_after,
        )
        return tuple.__new__(QueryTask, task)  # its own constructor costs as much again


@lru_cache(maxsize=1024)
def _reader(name: str, limit: int, items_are_new: bool) -> Callable[[Any], Snapshot]:
    return partial(read_items, name, limit, items_are_new)


def warn_of_single_calls(layers: Mapping[str, RegisteredLayer], hedged: Collection[str]) -> None:
    """Log which layers a config names although they do not say that a second call does no harm."""
    once = sorted(name for name in hedged if name in layers and not layers[name].idempotent)
    if once:
        logger.warning(
            "hedged_layers names %s, without idempotent = True in that layer: it is called once as before",
            ", ".join(once),
        )


def register(layer: Any, event_loop: EventLoopChoice = "caller") -> RegisteredLayer:
    """Look at what a layer says of itself.

    Args:
        layer: the layer.
        event_loop: where its coroutine runs if it does not say so itself by ``event_loop``. A layer that is
            opened by a coroutine runs where that did, on the manager's loop.

    Raises:
        ValueError: if it has no name or no ``search``, or says something that makes no sense.
    """
    name = _attribute(layer, "name", "", None)
    if not isinstance(name, str) or not name or name.startswith("_"):
        raise ValueError(f"a layer's name must be text that does not begin with '_', not {brief(name)}")
    if name.endswith(SECOND_CALL):
        raise ValueError(f"a layer's name must not end with {SECOND_CALL!r}, as {brief(name)} does")
    search = _attribute(layer, "search", name, None)
    if not callable(search):
        raise ValueError(f"layer {name!r} has no search(query, k, deadline)")
    opens, closes, probe = (_hook(layer, hook, name) for hook in ("open", "close", "probe"))
    default = "manager" if inspect.iscoroutinefunction(opens) else event_loop
    where = _attribute(layer, "event_loop", name, default)
    if where not in ("caller", "manager"):
        raise ValueError(f"event_loop of layer {name!r} must be 'caller' or 'manager', not {brief(where)}")
    return RegisteredLayer(
        str.__str__(name),
        layer,
        bool(_attribute(layer, "keeps_deadline", name, False)),
        bool(_attribute(layer, "items_are_new", name, False)),
        _seconds(layer, "cache_seconds", name, None),
        _seconds(layer, "stale_seconds", name, 0.0) or 0.0,
        where == "caller",
        opens,
        closes,
        probe,
        getattr(search, "__func__", search),
        is_coroutine_function(search),
        _names(layer, "after", name),
        bool(_attribute(layer, "idempotent", name, False)),
    )


def _attribute(layer: Any, attribute: str, name: str, default: Any) -> Any:
    try:
        return getattr(layer, attribute, default)
    except BaseException as exc:
        raise ValueError(f"{attribute} of layer {name or brief(layer)!r} fails: {describe(exc)[0]}") from exc


def _hook(layer: Any, attribute: str, name: str) -> Callable[..., Any] | None:
    hook: Callable[..., Any] | None = _attribute(layer, attribute, name, None)
    if hook is not None and not callable(hook):
        raise ValueError(f"{attribute} of layer {name!r} must be a function, not {brief(hook)}")
    return hook


def _names(layer: Any, attribute: str, name: str) -> tuple[str, ...]:
    value = _attribute(layer, attribute, name, ())
    if not isinstance(value, (tuple, list)) or not all(isinstance(other, str) and other for other in value):
        raise ValueError(
            f"{attribute} of layer {name!r} must be a tuple of names of layers, not {brief(value)}"
        )
    return tuple(dict.fromkeys(value))


def _seconds(layer: Any, attribute: str, name: str, default: float | None) -> float | None:
    value = _attribute(layer, attribute, name, default)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value) or value < 0:
        raise ValueError(f"{attribute} of layer {name!r} must be seconds from 0, not {brief(value)}")
    return float(value)


def _failing(exc: BaseException) -> Callable[..., Any]:
    def search(*_: Any) -> Any:
        raise exc

    return search
