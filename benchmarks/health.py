"""Layer health: what a sick layer takes from the others, and what bulkheads and breakers cost.

Real threads, at least 20 recalls/s that arrive whether or not earlier ones have ended. Five layers wait as
remote ones do; the sick one is asked by half of the recalls. The yardstick is the same manager with bulkheads
and breakers taken out: slots go to whoever came first, whatever its layer holds, and no layer is left out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any
from unittest.mock import patch

from harness import Figure, options, progress, report

from athena_tuning.control.breaker import BreakerSettings
from athena_tuning.model import TuningConfig
from athena_tuning.recall import MemoryManager
from athena_tuning.recall.execution import limiter

WAITS_MS = {"episodic": 20, "semantic": 12, "graph": 30, "prospective": 8, "procedural": 10}
SICK = "graph"
LIMIT = 10
IN_TIME_SECONDS = 0.3
NEVER = BreakerSettings(in_a_row=1_000_000, least_calls=1_000_000, window_calls=1)

WITHOUT = ("what was last said about item {}?", ("episodic", "semantic"))
WITH = ("what does item {} depend on?", ("semantic", SICK))
"""A question of a type that does not need the sick layer, and of one that does."""


class Remote:
    """A layer that waits as a remote one does, with whatever is wrong with it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls = 0
        self.serve: Callable[[], None] = self.wait

    def wait(self) -> None:
        """Take its usual time."""
        time.sleep(WAITS_MS[self.name] / 1000)

    def search(self, query: Any, k: int, deadline: float) -> list[dict[str, Any]]:
        """Find one thing."""
        self.calls += 1
        self.serve()
        return [{"id": "1", "text": f"{self.name} on {query}"}]


@dataclass(frozen=True, slots=True)
class Answered:
    """A recall: how long it took, which layers it needed, and which of them are missing."""

    seconds: float
    needed: tuple[str, ...]
    missing: tuple[str, ...]


@contextmanager
def manager_of(layers: Sequence[Remote], *, protected: bool = True, **config: Any) -> Iterator[MemoryManager]:
    """Open a manager over layers; not ``protected``: without bulkheads and breakers."""
    breaker = None if protected else NEVER
    with MemoryManager(":memory:", layers=layers, breaker=breaker) as manager:
        manager.apply_config(
            TuningConfig(max_concurrent=LIMIT, enable_cache=False, **config),
            expected_version=manager.configs.default.version,
            actor="benchmark",
            reason="a fixed config",
        )
        if protected:
            yield manager
        else:
            with (
                patch.object(limiter, "may_take", lambda *_: True),
                patch.object(limiter.SharedLimit, "_next", first_come),
            ):
                yield manager


def first_come(limit: limiter.SharedLimit, _: float) -> Any:
    """Return the layer of whoever has waited longest, if there is a free slot."""
    if limit.in_flight >= limit.limit:
        return None
    queues = (slots for slots in limit._layers.values() if slots.queue)
    return min(queues, key=lambda slots: next(iter(slots.queue.values())), default=None)


def drive(
    manager: MemoryManager, per_second: float, seconds: float, wait_seconds: float = 1.0
) -> list[Answered]:
    """Ask at a steady rate, from a thread a recall; who has no answer a little later counts as late."""
    answers: list[Answered] = []
    begin = time.monotonic()
    total = int(per_second * seconds)
    asked: dict[int, tuple[float, tuple[str, ...]]] = {}

    def ask(number: int) -> None:
        text, layers = (WITHOUT, WITH)[number % 2]
        began = time.monotonic()
        asked[number] = (began, layers)
        answer = manager.recall(text.format(number))
        took = time.monotonic() - began
        answers.append(Answered(took, layers, tuple(answer["_errors"])))
        del asked[number]

    for number in range(total):
        time.sleep(max(0.0, begin + number / per_second - time.monotonic()))
        threading.Thread(target=ask, args=(number,), daemon=True).start()
    time.sleep(wait_seconds)
    now = time.monotonic()
    late = [Answered(now - began, layers, layers) for began, layers in asked.copy().values()]
    return [*answers, *late]


def in_time(answers: Sequence[Answered]) -> float:
    """Return the share in % of recalls without need of the sick layer that had their whole answer in time."""
    concerned = [a for a in answers if SICK not in a.needed]
    return 100 * sum(a.seconds <= IN_TIME_SECONDS and not a.missing for a in concerned) / len(concerned)


def hang(seconds: float, protected: bool) -> float:
    """One layer hangs for 20 s in every call, from a moment on."""
    layers = [Remote(name) for name in WAITS_MS]
    (sick,) = (layer for layer in layers if layer.name == SICK)
    well = threading.Event()
    with manager_of(layers, protected=protected) as manager:
        drive(manager, 24, 2.0, 0.0)
        sick.serve = lambda: well.wait(20.0) and None  # type: ignore[assignment]
        share = in_time(drive(manager, 24, seconds))
        well.set()
    return share


def pool_of_two(seconds: float, protected: bool) -> float:
    """One layer has a pool of two connections, and is asked for more than they can do."""
    layers = [Remote(name) for name in WAITS_MS]
    (sick,) = (layer for layer in layers if layer.name == SICK)
    pool = threading.Semaphore(2)

    def serve() -> None:
        with pool:
            time.sleep(0.4)

    with manager_of(layers, protected=protected) as manager:
        drive(manager, 24, 2.0, 0.0)
        sick.serve = serve
        share = in_time(drive(manager, 24, seconds))
        sick.serve = sick.wait
    return share


def alike(blocks: int, seconds: float) -> float:
    """All layers take the same time, under as many clients as they can serve: throughput, with to without."""
    ratios = []
    for block in range(blocks):
        rates = {}
        for protected in (True, False) if block % 2 else (False, True):
            layers = [Remote(name) for name in WAITS_MS]
            for layer in layers:
                layer.serve = lambda: time.sleep(0.015)
            with manager_of(layers, protected=protected, layer_selection_enabled=False) as manager:
                closed_loop(manager, 12, 0.2)
                rates[protected] = closed_loop(manager, 12, seconds)
        ratios.append(rates[True] / rates[False])
    return median(ratios)


def closed_loop(manager: MemoryManager, clients: int, seconds: float) -> float:
    """Return recalls/s of clients that ask again as soon as they have their answer."""
    end = time.monotonic() + seconds
    done = [0] * clients

    def client(number: int) -> None:
        while time.monotonic() < end:
            manager.recall(f"client {number} asks {done[number]}")
            done[number] += 1

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / seconds


def dead(recalls: int) -> list[Figure]:
    """One layer fails every call; later it is well again."""
    layers = [Remote(name) for name in WAITS_MS]
    (sick,) = (layer for layer in layers if layer.name == SICK)

    def fail() -> None:
        raise ConnectionError("connection refused")

    sick.serve = fail
    with manager_of(layers) as manager:
        drive(manager, 80, 400 / 80, 0.0)  # half of them need the sick layer
        before = sick.calls
        drive(manager, 40, recalls / 40, 0.0)
        share = 100 * (sick.calls - before) / (recalls / 2)
        sick.serve = sick.wait
        began = time.monotonic()
        number = 0
        while manager.recall(WITH[0].format(number))["_errors"]:
            time.sleep(0.05)
            number += 1
        back = time.monotonic() - began
    return [
        Figure("a dead layer is asked, of recalls that need it, after the first 200", share, "%", 2.0),
        Figure("and is back after it is well", back, "s", 10.0),
    ]


def main() -> int:
    asked = options(__doc__)
    seconds = 3.0 if asked.quick else 20.0
    figures = []
    for name, run, least in (("hangs 20 s", hang, 95.0), ("has a pool of 2", pool_of_two, 90.0)):
        for protected in (False, True):
            how = "with bulkheads and breakers" if protected else "without"
            progress(f"a layer {name}, {how}")
            share = run(seconds, protected)
            target = least if protected else None
            title = f"recalls without need of a layer that {name}, whole within 300 ms, {how}"
            figures.append(Figure(title, share, "%", target, at_least=True))
    progress("all layers alike")
    ratio = alike(3 if asked.quick else 9, 0.5 if asked.quick else 3.0)
    figures.append(
        Figure("throughput with all layers alike, with to without", ratio, "x", 0.95, at_least=True)
    )
    progress("a layer fails")
    figures += dead(200 if asked.quick else 1200)
    return report(figures, asked)


if __name__ == "__main__":
    raise SystemExit(main())
