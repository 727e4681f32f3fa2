"""Two minutes in which a newcomer sees what this is for: real threads, a real manager, waits that are made.

An act has a store, a manager and a dashboard's service of its own, in memory; nothing of it reaches anybody
else's. What is made is only how long a layer waits; the rest is what always runs.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np

from athena_tuning.load.patterns import day
from athena_tuning.load.spec import LoadSpec
from athena_tuning.model import LAYERS, QUERY_TYPES, Mode, QueryMetrics, TuningConfig
from athena_tuning.recall import MemoryManager
from athena_tuning.recall.items import LayerQuery
from athena_tuning.recall.layers.base import SearchResult
from athena_tuning.service.embedded import Embedded
from athena_tuning.service.store_follower import Tail
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.store import open_store

LASTS_SECONDS = 900.0
"""After so long an act's load ends by itself."""


@dataclass(frozen=True, slots=True)
class Act:
    """What is shown.

    Attributes:
        name: of the act.
        title: what it is called.
        about: what is wrong, in a sentence.
        sees: what there is to see, in order.
        limit: layer tasks at once that the config of the start allows.
        reason: what whoever set it gave as reason.
        ill: a layer, and from when to when, in seconds since the start, it does not answer; None: none.
        day_rate: recalls a second of a day that is pressed into ``DAY_SECONDS``; None: the load is steady.
        mode: who steers.
    """

    name: str
    title: str
    about: str
    sees: tuple[str, ...]
    limit: int
    reason: str
    ill: tuple[str, float, float] | None = None
    day_rate: float | None = None
    mode: Mode = Mode.ADVISE


DAY_SECONDS = 120.0
"""How long a day of an act lasts; one follows the other."""

KNEE = 4
"""Tasks at once that the backend bears; with more, each takes longer."""

_WAIT_SECONDS = 0.03
_STEEP = 0.45
_SPREAD = 0.25
_RATE = 30.0

ACTS = {
    act.name: act
    for act in (
        Act(
            "knee",
            "A backend with a knee",
            f"The config lets 12 tasks run at once; the backend bears {KNEE}.",
            (
                "p99 climbs to half a second",
                "The tuner finds the cause and proposes a limit",
                "You apply it, or let the tuner steer, and p99 falls",
            ),
            12,
            "more cores",
        ),
        Act(
            "ill",
            "A layer that falls ill",
            "After 20 s the layer graph does not answer any more; a minute later it comes back.",
            (
                "Recalls fail to get an answer from graph",
                "It is left out at once; answers are partial and say so",
                "It is tried again every few seconds, and comes back by itself",
            ),
            KNEE,
            "what the backend bears",
            ("graph", 20.0, 80.0),
        ),
        Act(
            "peak",
            "A day with a peak",
            "A day of load in two minutes, again and again; the config lets 2 tasks run at once.",
            (
                "Already in the morning tasks wait for a slot",
                "The tuner, which steers here, raises the limit before noon and says why",
                "At noon the load has more than doubled, and p99 stays low",
            ),
            2,
            "as it was at night",
            day_rate=11.0,
            mode=Mode.AUTO,
        ),
    )
}


class Backend:
    """What all layers of an act ask: it bears ``KNEE`` tasks at once.

    With n of them a task waits ``w · (1 + 0.45 · max(0, n − 4))``, w lognormal about 30 ms.

    Args:
        monotonic: seconds that never jump.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._rng = Random(7)
        self._lock = threading.Lock()
        self._running = 0
        self._monotonic, self._sleep = monotonic, sleep
        self.began = monotonic()

    @property
    def age(self) -> float:
        """Seconds since the act began."""
        return self._monotonic() - self.began

    def serve(self) -> None:
        """Wait as long as a task takes beside those that run now."""
        with self._lock:
            self._running += 1
            work = _WAIT_SECONDS * self._rng.lognormvariate(0.0, _SPREAD)
            beside = max(0, self._running - KNEE)
        try:
            self._sleep(work * (1 + _STEEP * beside))
        finally:
            with self._lock:
                self._running -= 1


class ActLayer:
    """A layer of an act: it waits for the backend and finds one thing.

    Args:
        name: of the layer.
        backend: shared by all layers of the act.
        act: says whether and when the layer is ill.
    """

    def __init__(self, name: str, backend: Backend, act: Act) -> None:
        self.name = name
        self._backend = backend
        self._ill = act.ill if act.ill and act.ill[0] == name else None

    def search(self, query: LayerQuery, k: int, deadline: float) -> SearchResult:
        """Wait, then find one thing.

        Raises:
            ConnectionError: while the layer is ill.
        """
        del query, k, deadline
        if self._ill and self._ill[1] <= self._backend.age < self._ill[2]:
            raise ConnectionError("the act lets this layer be down for a minute")
        self._backend.serve()
        return [{"id": f"{self.name}-1", "text": f"what {self.name} knows of it"}]


def days(rate: float) -> list[QueryMetrics]:
    """Return what is asked on days that follow each other, ``LASTS_SECONDS`` in all.

    Args:
        rate: recalls a second, in the mean of a day.
    """
    rng = np.random.default_rng(7)
    asked: list[QueryMetrics] = []
    for number in range(math.ceil(LASTS_SECONDS / DAY_SECONDS)):
        for at in day(rate, DAY_SECONDS, rng):
            kind = QUERY_TYPES[len(asked) % len(QUERY_TYPES)]
            when = number * DAY_SECONDS + float(at)
            asked.append(QueryMetrics("", "", kind, when, None, None, None, None, [], {}, None))
    return asked


def open_act(act: Act) -> TuningService:
    """Start an act and return the service that shows it; ``close`` ends it.

    Raises:
        StoreError: if its store cannot be made.
    """
    store = open_store("memory://")
    backend = Backend()
    layers = [ActLayer(name, backend, act) for name in LAYERS]
    manager = MemoryManager(":memory:", layers=layers, store=store, mode=act.mode)
    # No recall explores: each layer of an act finds one thing, so any layer would seem worth adding. None is
    # refused: a trial that begins while a queue is long would end with the first that is.
    manager.apply_config(
        TuningConfig(max_concurrent=act.limit, exploration_share=0.0, overload_after_seconds=None),
        expected_version=manager.configs.default.version,
        actor="maria",
        reason=act.reason,
    )
    embedded = Embedded.of(manager, store)
    # Hardly a question twice: an answer from the cache would hide what the act is about.
    if act.day_rate is None:
        embedded.start_demo(LoadSpec("steady", rate_per_s=_RATE, duration_s=LASTS_SECONDS, repetition=0.2))
    else:
        embedded.start_demo(
            LoadSpec("replay", duration_s=LASTS_SECONDS, replay_of=act.name, repetition=0.2),
            days(act.day_rate),
        )
    tail = Tail(store)
    tail.start()
    return TuningService(store, tail, embedded)
