"""The manager that the dashboard runs itself, its sample memory, and the demo load on it."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from athena_tuning import locations
from athena_tuning.load.remote_run import OrderTaker
from athena_tuning.load.run import LoadRun
from athena_tuning.load.spec import LoadSpec
from athena_tuning.model import QueryMetrics, Source, SourceBatch
from athena_tuning.recall import MemoryManager
from athena_tuning.recall.ingest import ingest_file
from athena_tuning.samples import sample_workloads
from athena_tuning.samples.store_sample import store_sample
from athena_tuning.store import Store

logger = logging.getLogger(__name__)

DEMO = LoadSpec("bursty", rate_per_s=3.0, duration_s=None, repetition=1.1, seed=7)
"""The gentle load that gives a new dashboard something to show."""


class Embedded:
    """A manager in this process, which also takes load orders from its store.

    Attributes:
        memory: its file.
        manager: the manager.
        has_sample: whether its memory is the sample memory, which the demo load has questions for.

    Args:
        memory: its file; where there is none, one is made from the sample memory.
        store: shared with whoever else uses it.
    """

    def __init__(self, memory: Path, store: Store) -> None:
        marker = memory.with_name(f"{memory.name}.sample")
        if not memory.exists():
            build_memory(memory)
            marker.touch()
        self._serve(MemoryManager(memory, store=store), store, memory, has_sample=marker.exists())

    @classmethod
    def of(cls, manager: MemoryManager, store: Store) -> Self:
        """Return a manager that is there already, without a file, as the one of this process.

        Args:
            manager: closed with it.
            store: the manager's.
        """
        embedded = cls.__new__(cls)
        embedded._serve(manager, store, Path(":memory:"), has_sample=False)
        return embedded

    def _serve(self, manager: MemoryManager, store: Store, memory: Path, *, has_sample: bool) -> None:
        self.memory = memory
        self.has_sample = has_sample
        self.manager = manager
        self._store = store
        self._lock = threading.Lock()
        self._demo: LoadRun | None = None
        self._orders = OrderTaker(self.manager).start()

    @property
    def demo_is_on(self) -> bool:
        """Whether the demo load runs."""
        return self._demo is not None

    def start_demo(self, spec: LoadSpec = DEMO, recorded: Sequence[QueryMetrics] = ()) -> None:
        """Start the demo load, if it does not run yet.

        Args:
            spec: what load it is.
            recorded: what it replays, if it is a replay.
        """
        with self._lock:
            if self._demo is None:
                run = LoadRun(self.manager, spec, recorded=recorded, source=Source.LIVE.value)
                self._demo = run.start()

    def stop_demo(self) -> None:
        """Stop the demo load, if it runs."""
        with self._lock:
            demo, self._demo = self._demo, None
        if demo is not None:
            demo.stop()

    def take_sample(self, name: str, *, ending_at: float) -> SourceBatch:
        """Bring a sample workload into the store as if it had just ended; return what it is there.

        Raises:
            ValueError: if there is no such workload.
        """
        return store_sample(name, self._store, ending_at=ending_at)

    def recall(self, text: str, *, k: int, scope: str | None, use_cache: bool) -> Mapping[str, Any]:
        """Ask the memory."""
        return self.manager.recall(text, k=k, scope=scope, use_cache=use_cache)

    def close(self) -> None:
        """End loads and the manager."""
        self.stop_demo()
        self._orders.close()
        self.manager.close()


def build_memory(memory: Path) -> None:
    """Make the sample memory; an interrupted build leaves nothing behind that looks finished."""
    building = memory.with_name(f".{memory.name}.{os.getpid()}.building")
    locations.make_private_folder(memory.parent)
    building.unlink(missing_ok=True)
    with MemoryManager(building) as manager:
        report = ingest_file(manager, sample_workloads.sample_memory())
    logger.info("made the sample memory: %d items", report.loaded)
    os.replace(building, memory)
