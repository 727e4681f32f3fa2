"""The health of a worker's layers: a breaker for each, and what is told of them."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from athena_tuning import fork
from athena_tuning.control.breaker import Admission, Breaker, BreakerSettings
from athena_tuning.model import BreakerState, LayerHealth, TaskOutcome
from athena_tuning.store import Store, TextPolicy
from athena_tuning.store.text_policy import without_quotes

logger = logging.getLogger(__name__)

SLOW_TIMES = 3.0
"""A call that was given up at the recall's own deadline counts against its layer if it had so many times the
layer's usual time; else the deadline was short, and the layer is not to blame."""

TRIAL_TIMES = 4.0
TRIAL_SECONDS = 1.0
"""A trial gets so many times the layer's usual time, and so much beside: who waits for it is a caller."""

_WEIGHT = 0.1

POST_SECONDS = 10.0
"""How old what a worker posted of its layers may be; a change of state is posted at once."""

_TOPIC = "layers"


def posted_health(store: Store) -> dict[str, list[LayerHealth]]:
    """Return what the workers on a store that are alive posted of their layers, by worker.

    Raises:
        StoreError: if the store cannot be read.
    """
    posted = store.posted(_TOPIC, within=3 * POST_SECONDS)
    return {
        worker: [LayerHealth.from_dict(layer) for layer in json.loads(text)]
        for worker, text in posted.items()
    }


class HealthPost:
    """Leaves in a store how a worker's layers are.

    Args:
        store: where others can see it.
        worker_id: whose layers.
        clock: monotonic seconds.
    """

    def __init__(self, store: Store, worker_id: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._worker_id = worker_id
        self._clock = clock
        self._posted: list[tuple[str, BreakerState, str]] | None = None
        self._posted_at = 0.0

    def post(self, layers: Iterable[LayerHealth]) -> None:
        """Post how layers are, if that has changed or is about to be too old.

        Raises:
            StoreError: if the store does not take it; call again later.
        """
        now, all_of_them = self._clock(), list(layers)
        health = [(layer.layer, layer.state, layer.blocks_loop) for layer in all_of_them]
        if health != self._posted or now - self._posted_at >= POST_SECONDS:
            text = json.dumps([layer.to_dict() for layer in all_of_them])
            self._store.post(_TOPIC, self._worker_id, text)
            self._posted, self._posted_at = health, now


class _Layer:
    """What is known of one layer. Guarded by the lock of its ``HealthMonitor``."""

    def __init__(self, breaker: Breaker, now: float, tried_outside: bool) -> None:
        self.breaker = breaker
        self.since = now
        self.told = BreakerState.CLOSED
        self.tried_outside = tried_outside
        self.calls = self.failures = self.timeouts = self.left_out = self.stale = 0
        self.left_out_before = 0
        self.lost_seconds = 0.0
        self.typical: float | None = None
        self.last_error = ""
        self.blocks_loop = ""


class HealthMonitor:
    """Watches the calls of layers, and says which layers are to be left out.

    A change of state is logged once, at INFO. May be used from any thread.

    Args:
        settings: of the breakers.
        clock: Unix seconds, for ``LayerHealth.since``.
        monotonic: seconds that never jump, for the breakers.
        texts: what is kept of the error texts of recalls, which may quote a query.
    """

    def __init__(
        self,
        settings: BreakerSettings | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        texts: TextPolicy = TextPolicy.KEEP,
    ) -> None:
        self._settings = settings or BreakerSettings()
        self._clock = clock
        self._monotonic = monotonic
        self._texts = texts
        self._lock = threading.Lock()
        self._layers: dict[str, _Layer] = {}
        fork.register(self)

    def renew_after_fork(self) -> None:
        """Make the locks anew in a forked child."""
        self._lock = threading.Lock()
        for layer in self._layers.values():
            layer.breaker.renew_after_fork()

    def add(self, name: str, *, tried_outside: bool = False) -> None:
        """Watch a layer from now on, as one that is well: it is new, or another one under an old name.

        Args:
            name: the layer's.
            tried_outside: once it is down, trials are made outside of recalls (``may_try``).
        """
        breaker = Breaker(self._settings, self._monotonic)
        with self._lock:
            self._layers[name] = _Layer(breaker, self._clock(), tried_outside)

    def admit(self, name: str, timeout_seconds: float) -> tuple[Admission, float, str]:
        """Say whether a layer is to be called in a recall.

        Args:
            name: the layer's.
            timeout_seconds: that the call would have.

        Returns:
            What to do; the timeout of the call, which is shorter for a trial; and why it is left out.
        """
        layer = self._layers[name]
        breaker = layer.breaker
        if breaker.state is BreakerState.CLOSED:
            return Admission.CALL, timeout_seconds, ""
        if layer.typical is not None:
            timeout_seconds = min(timeout_seconds, TRIAL_TIMES * layer.typical + TRIAL_SECONDS)
        admission = Admission.LEAVE_OUT if layer.tried_outside else breaker.admit(2 * timeout_seconds)
        if admission is Admission.LEAVE_OUT:
            with self._lock:
                layer.left_out += 1
        why = f"left out for {self._clock() - layer.since:.0f} s now: {breaker.reason}"
        return admission, timeout_seconds, why

    def note(
        self,
        name: str,
        outcome: TaskOutcome,
        seconds: float,
        error: str = "",
        *,
        of_layer: bool = True,
        at_deadline: bool = False,
    ) -> None:
        """Note how a call of a layer ended.

        Args:
            name: the layer's.
            outcome: ok, timeout or error.
            seconds: its service time, until it ended or was given up.
            error: why it is not ok.
            of_layer: whether it says anything about the layer.
            at_deadline: whether it was given up because the whole recall was over.
        """
        layer = self._layers[name]
        breaker = layer.breaker
        if outcome is TaskOutcome.OK:
            with self._lock:
                layer.calls += 1
                typical = layer.typical
                layer.typical = seconds if typical is None else typical + _WEIGHT * (seconds - typical)
            breaker.succeeded()
        elif not of_layer:
            breaker.undecided()
        else:
            error = without_quotes(error, self._texts) or ""
            with self._lock:
                layer.calls += 1
                layer.timeouts += outcome is TaskOutcome.TIMEOUT
                layer.failures += outcome is TaskOutcome.ERROR
                layer.lost_seconds += seconds
                layer.last_error = error
            if at_deadline and layer.typical is not None and seconds < SLOW_TIMES * layer.typical:
                breaker.undecided()
            else:
                breaker.failed(error)
        if breaker.state is not layer.told:
            self._tell(name, layer)

    def set_down(self, name: str, why: str, *, tried_outside: bool = False) -> None:
        """Leave a layer out until a trial succeeds; ``tried_outside``: not one of a recall's."""
        layer = self._layers[name]
        layer.tried_outside |= tried_outside
        layer.breaker.force_open(why)
        self._tell(name, layer)

    def set_tried_outside(self, name: str, tried_outside: bool) -> None:
        """Say whether a layer that is down waits for a trial outside of recalls, or a recall tries it."""
        self._layers[name].tried_outside = tried_outside

    def may_try(self, name: str, seconds: float) -> bool:
        """Whether a trial outside of recalls is due; ``note_trial`` is to be called within ``seconds``."""
        return self._layers[name].breaker.admit(seconds) is Admission.TRIAL

    def note_trial(self, name: str, outcome: TaskOutcome, seconds: float, error: str = "") -> None:
        """Note how a trial outside of recalls ended. It is no call: it says nothing about service times."""
        layer = self._layers[name]
        if outcome is TaskOutcome.OK:
            layer.breaker.succeeded()
        else:
            with self._lock:
                layer.lost_seconds += seconds
                layer.last_error = error
            layer.breaker.failed(error)
        self._tell(name, layer)

    def note_stale(self, name: str) -> None:
        """Count an answer that was given although it had expired."""
        with self._lock:
            self._layers[name].stale += 1

    def note_block(self, name: str, where: str, seconds: float) -> None:
        """Note that a layer kept an event loop from turning."""
        layer = self._layers.get(name)
        if layer is not None:
            layer.blocks_loop = f"for {seconds:.1f} s at {where}"

    def is_well(self, name: str) -> bool:
        """Whether a layer's breaker is closed."""
        layer = self._layers.get(name)
        return layer is None or layer.breaker.state is BreakerState.CLOSED

    def health(
        self, held: Mapping[str, int] | None = None, waiting: Mapping[str, int] | None = None
    ) -> dict[str, LayerHealth]:
        """Return how every layer is, by name.

        Args:
            held: slots that it holds now, by layer.
            waiting: calls that wait for a slot now, by layer.
        """
        held, waiting = held or {}, waiting or {}
        with self._lock:
            return {
                name: LayerHealth(
                    name,
                    layer.breaker.state,
                    layer.since,
                    layer.breaker.reason,
                    layer.calls,
                    layer.failures,
                    layer.timeouts,
                    layer.left_out,
                    layer.lost_seconds,
                    None if layer.typical is None else layer.typical * 1000,
                    held.get(name, 0),
                    waiting.get(name, 0),
                    layer.last_error,
                    layer.blocks_loop,
                    layer.stale,
                )
                for name, layer in self._layers.items()
            }

    def _tell(self, name: str, layer: _Layer) -> None:
        """Log a change between well and not well, once."""
        with self._lock:
            state, before = layer.breaker.state, layer.told
            if state is before:
                return
            layer.told = state
            if BreakerState.CLOSED not in (state, before):
                return  # open and half-open by turns: it is still not well
            now = self._clock()
            lasted, layer.since = now - layer.since, now
            missed = layer.left_out - layer.left_out_before
            layer.left_out_before = layer.left_out
        if state is BreakerState.CLOSED:
            logger.info(
                "layer %r is well again after %.0f s; %d recalls went without it", name, lasted, missed
            )
        else:
            logger.info("layer %r is left out from now on: %s", name, layer.breaker.reason)
