"""Layers that want to be set up, ended, or tried outside of recalls."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from athena_tuning import fork
from athena_tuning.control.layer_health import HealthMonitor
from athena_tuning.model import TaskOutcome
from athena_tuning.recall.execution.executor import ParallelLayerExecutor
from athena_tuning.recall.execution.failure import describe
from athena_tuning.recall.registered_layer import RegisteredLayer

logger = logging.getLogger(__name__)

OPEN_SECONDS = 10.0
"""Longest wait for a layer's ``open``; a layer that takes longer is left out until it is ready."""

PROBE_SECONDS = 5.0
"""How long a layer's ``probe`` may take."""


class LayerLifecycle:
    """Opens layers, tries those that are down, closes them.

    A layer that cannot be opened is down, and is tried again; nothing else fails with it. Of one layer no two
    trials are under way at once, so that a ``probe`` that hangs holds one thread; meanwhile recalls try.

    Args:
        executor: runs what layers want to have done, outside of its limit.
        health: says which layers are down.
    """

    def __init__(self, executor: ParallelLayerExecutor, health: HealthMonitor) -> None:
        self._executor = executor
        self._health = health
        self._lock = threading.Lock()
        self._layers: dict[str, RegisteredLayer] = {}
        self._replaced: list[RegisteredLayer] = []
        self._unopened: set[str] = set()
        self._trials: dict[str, tuple[Future[Any], float]] = {}
        fork.register(self)

    def renew_after_fork(self) -> None:
        """Have the layers opened anew in a forked child: what they opened is the parent's."""
        self._lock = threading.Lock()
        self._trials.clear()
        for layer in self._layers.values():
            if layer.open is not None:
                self._unopened.add(layer.name)
                self._health.set_down(layer.name, "it is opened anew after a fork", tried_outside=True)

    def add(self, layer: RegisteredLayer) -> None:
        """Watch a layer, open it, and close it with the others; so too what it replaces."""
        name = layer.name
        with self._lock:
            if name in self._layers:
                self._replaced.append(self._layers[name])
            self._layers[name] = layer
            self._unopened.discard(name)
            self._trials.pop(name, None)
        self._health.add(name, tried_outside=layer.probe is not None)
        if layer.open is None:
            return
        opening = self._executor.call_apart(layer.open)
        try:
            opening.result(OPEN_SECONDS)
        except Exception as exc:  # noqa: BLE001  (whatever a stranger's open raises)
            why = describe(exc)[0] if opening.done() else f"that takes longer than {OPEN_SECONDS:g} s"
            self._unopened.add(name)
            self._health.set_down(name, f"it could not be opened: {why}", tried_outside=True)
            if not opening.done():
                self._await(layer, opening, OPEN_SECONDS, opens=True)

    def try_layers(self) -> None:
        """Try the layers that are down and have to be opened, or have a ``probe``. This waits for nothing."""
        for layer in list(self._layers.values()):
            if layer.name in self._unopened and layer.open is not None:
                self._try(layer, layer.open, OPEN_SECONDS, opens=True)
            elif layer.probe is not None:
                probe = partial(layer.probe, time.monotonic() + PROBE_SECONDS)
                self._try(layer, probe, PROBE_SECONDS, opens=False)

    def close(self, until: float) -> None:
        """Close all layers that want to be, the latest first, and wait for that until then.

        Args:
            until: monotonic seconds.
        """
        with self._lock:
            layers = [*self._replaced, *self._layers.values()]
            self._replaced.clear()
            self._layers.clear()
        closing = [
            (layer, self._executor.call_apart(layer.close)) for layer in reversed(layers) if layer.close
        ]
        for layer, end in closing:
            try:
                end.result(max(0.0, until - time.monotonic()))
            except Exception as exc:  # noqa: BLE001  (whatever a stranger's close raises)
                why = describe(exc)[0] if end.done() else "it takes too long"
                logger.warning("layer %r was not closed: %s", layer.name, why)

    @property
    def has_closing(self) -> bool:
        """Whether there is anything to close."""
        return any(layer.close is not None for layer in (*self._replaced, *self._layers.values()))

    def _try(self, layer: RegisteredLayer, hook: Callable[[], Any], seconds: float, *, opens: bool) -> None:
        trial, ends = self._trials.get(layer.name, (None, 0.0))
        if trial is not None and not trial.done():
            if not opens and time.monotonic() >= ends:
                self._health.set_tried_outside(layer.name, False)
        elif self._health.may_try(layer.name, seconds):
            self._await(layer, self._executor.call_apart(hook), seconds, opens=opens)

    def _await(self, layer: RegisteredLayer, trial: Future[Any], seconds: float, *, opens: bool) -> None:
        began = time.monotonic()
        self._trials[layer.name] = trial, began + seconds
        trial.add_done_callback(partial(self._ended, layer, opens, began))

    def _ended(self, layer: RegisteredLayer, opened: bool, began: float, trial: Future[Any]) -> None:
        if self._layers.get(layer.name) is not layer:
            return  # replaced or closed meanwhile
        seconds = time.monotonic() - began
        exc = trial.exception()
        if exc is None and opened:
            self._unopened.discard(layer.name)
        self._health.set_tried_outside(layer.name, layer.probe is not None or layer.name in self._unopened)
        if exc is None:
            self._health.note_trial(layer.name, TaskOutcome.OK, seconds)
        else:
            error, outcome = describe(exc)
            self._health.note_trial(layer.name, outcome, seconds, error)
