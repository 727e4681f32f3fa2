"""A real manager under real load: threads, SQLite layers, and layers that wait as remote ones do."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from athena_tuning import locations
from athena_tuning.load.simulated_layer import RemoteLayer
from athena_tuning.model import Mode, QueryMetrics, TuningConfig, TuningStrategy
from athena_tuning.recall import MemoryManager
from athena_tuning.recall.ingest import ingest_file
from athena_tuning.recall.layers.base import Layer

Slow = Callable[[int], float]
"""How many times longer a backend waits with n calls in it."""


class Backend:
    """What several layers share behind the network: slots that run out, or calls that slow each other.

    Args:
        slots: calls served at once; others stand in line.
        slow: of the calls served at once.
    """

    def __init__(self, slots: int = 1000, slow: Slow = lambda _: 1.0) -> None:
        self._free = threading.Semaphore(slots)
        self._slow = slow
        self._lock = threading.Lock()
        self._inside = 0

    def wait(self, seconds: float) -> None:
        """Be served for so long, and longer where others are too."""
        with self._free:
            with self._lock:
                self._inside += 1
                inside = self._inside
            time.sleep(seconds * self._slow(inside))
            with self._lock:
                self._inside -= 1


@dataclass(frozen=True, slots=True)
class World:
    """What is really run: ``backend`` None is the embedded store itself."""

    name: str
    backend: Callable[[], Backend] | None
    clients: int


WAITS_MS = {"episodic": 40, "semantic": 24, "graph": 60, "prospective": 16, "procedural": 20}
WORLDS = (
    World("embedded", None, 12),
    World("remote", Backend, 24),
    World("ten slots", lambda: Backend(slots=10), 24),
    World(
        "thrashes beyond 8", lambda: Backend(slow=lambda n: 1 if n <= 8 else n / 8 + 0.06 * (n - 8) ** 2), 24
    ),
)


@contextmanager
def manager(world: World, memory: Path, config: TuningConfig, mode: Mode) -> Iterator[MemoryManager]:
    """Open a manager over a memory file, in a world, under a config."""
    with MemoryManager(memory) as local:
        stores = local.memory.layers.values()
        layers: list[Layer] = list(stores)
        if world.backend is not None:
            wait = world.backend().wait
            layers = [RemoteLayer(layer, WAITS_MS[layer.name], sleep=wait) for layer in stores]
        with MemoryManager(":memory:", layers=layers, mode=mode, strategy=config.strategy) as opened:
            version = opened.configs.default.version
            opened.apply_config(
                config, expected_version=version, actor="benchmark", reason="start", mode=mode
            )
            yield opened


def drive(opened: MemoryManager, questions: Sequence[str], clients: int, seconds: float) -> float:
    """Ask from so many clients, each as soon as it has its answer; return recalls a second."""
    done = [0] * clients
    began = time.perf_counter()

    def client(number: int) -> None:
        turn = number
        while time.perf_counter() < began + seconds:
            opened.recall(questions[turn % len(questions)], use_cache=False)
            done[number] += 1
            turn += clients

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - began)


def measured(
    world: World, memory: Path, questions: Sequence[str], limit: int, seconds: float
) -> tuple[float, list[QueryMetrics]]:
    """Run one fixed limit; return recalls a second and what was recorded."""
    config = TuningConfig(max_concurrent=limit, strategy=TuningStrategy.THROUGHPUT)
    with manager(world, memory, config, Mode.PINNED) as opened:
        rate = drive(opened, questions, world.clients, seconds)
        opened.profiler.fold()
        return rate, list(opened.profiler.metrics)


def fill(memory: Path) -> list[str]:
    """Put the sample memory into a file; return questions."""
    sample = next(locations.sample_data().glob("*memory*.jsonl.gz"))
    with MemoryManager(memory) as opened:
        ingest_file(opened, sample)
    with gzip.open(sample) as lines:
        texts = [json.loads(line)["text"] for line in lines]
    starts = ("when was", "how to", "which depends on", "what is")
    return [f"{starts[i % 4]} {text[:50]}" for i, text in enumerate(texts[::7]) if text.strip()]
