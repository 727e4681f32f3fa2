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

    A layer that cannot be opened is down, and is tried again; nothing else fails with it.

    Args:
        executor: runs what layers want to have done, outside of its limit.
        health: says which layers are down.
    """

    def __init__(self, executor: ParallelLayerExecutor, health: HealthMonitor) -> None:
        self._executor = executor
        self._health = health
        self._lock = threading.Lock()
        self._layers: list[RegisteredLayer] = []
        self._unopened: set[str] = set()
        fork.register(self)

    def renew_after_fork(self) -> None:
        """Have the layers opened anew in a forked child: what they opened is the parent's."""
        self._lock = threading.Lock()
        for layer in self._layers:
            if layer.open is not None:
                self._unopened.add(layer.name)
                self._health.set_down(layer.name, "it is opened anew after a fork", tried_outside=True)

    def add(self, layer: RegisteredLayer) -> None:
        """Open a layer, and close it with the others."""
        with self._lock:
            self._layers.append(layer)
        if layer.probe is not None:
            self._health.set_tried_outside(layer.name, True)
        if layer.open is None:
            return
        opening = self._executor.call_apart(layer.open)
        try:
            opening.result(OPEN_SECONDS)
        except Exception as exc:  # noqa: BLE001  (whatever a stranger's open raises)
            why = describe(exc)[0] if opening.done() else f"that takes longer than {OPEN_SECONDS:g} s"
            self._unopened.add(layer.name)
            self._health.set_down(layer.name, f"it could not be opened: {why}", tried_outside=True)
            if not opening.done():
                opening.add_done_callback(partial(self._ended, layer, True, time.monotonic()))

    def try_layers(self) -> None:
        """Try the layers that are down and have to be opened, or have a ``probe``. This waits for nothing."""
        for layer in self._layers:
            opens = layer.name in self._unopened
            hook: Callable[[], Any] | None = layer.open if opens else None
            if not opens and layer.probe is not None:
                hook = partial(layer.probe, time.monotonic() + PROBE_SECONDS)
            if hook is not None and self._health.may_try(
                layer.name, OPEN_SECONDS if opens else PROBE_SECONDS
            ):
                trial = self._executor.call_apart(hook)
                trial.add_done_callback(partial(self._ended, layer, opens, time.monotonic()))

    def close(self, until: float) -> None:
        """Close all layers that want to be, the latest first, and wait for that until then.

        Args:
            until: monotonic seconds.
        """
        with self._lock:
            layers = [layer for layer in reversed(self._layers) if layer.close is not None]
            self._layers.clear()
        closing = [(layer, self._executor.call_apart(layer.close)) for layer in layers if layer.close]
        for layer, end in closing:
            try:
                end.result(max(0.0, until - time.monotonic()))
            except Exception as exc:  # noqa: BLE001  (whatever a stranger's close raises)
                why = describe(exc)[0] if end.done() else "it takes too long"
                logger.warning("layer %r was not closed: %s", layer.name, why)

    @property
    def has_closing(self) -> bool:
        """Whether there is anything to close."""
        return any(layer.close is not None for layer in self._layers)

    def _ended(self, layer: RegisteredLayer, opened: bool, began: float, trial: Future[Any]) -> None:
        exc = trial.exception() if not trial.cancelled() else TimeoutError("cancelled")
        seconds = time.monotonic() - began
        if exc is None:
            if opened:
                self._unopened.discard(layer.name)
                self._health.set_tried_outside(layer.name, layer.probe is not None)
            self._health.note_trial(layer.name, TaskOutcome.OK, seconds)
        else:
            error, outcome = describe(exc)
            self._health.note_trial(layer.name, outcome, seconds, error)
