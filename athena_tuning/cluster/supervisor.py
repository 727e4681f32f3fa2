"""Keeps managers running on one machine: starts them, and starts again what died."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from nats.micro import add_service
from nats.micro.request import Request

from athena_tuning.closeable import Closeable
from athena_tuning.cluster import wire
from athena_tuning.cluster.address import Address
from athena_tuning.cluster.broker import Broker
from athena_tuning.cluster.connection import Connection
from athena_tuning.control.periodic import PeriodicTask, PeriodicThread
from athena_tuning.manager_process import ManagerProcess

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.1
"""Between two looks at which processes are alive."""
SOON_SECONDS = 5.0
"""A process that ends sooner after its start will end again: the next one is started after a pause."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
STOP_SECONDS = 12.0
MOST_WORKERS = 256


def manager_arguments(url: str, *, memory: str | None = None, store: str | None = None) -> list[str]:
    """Return the arguments of ``athena-tuning manager`` for one that answers in a cluster."""
    arguments = ["--serve", url, *(["--memory", memory] if memory else [])]
    return arguments + (["--store", store] if store else [])


@dataclass(slots=True)
class _Slot:
    """A place for one manager: the process that has it, and when the next one may be started."""

    process: ManagerProcess | None = None
    started: float = 0.0
    not_before: float = 0.0
    pause: float = 0.0


@dataclass(slots=True)
class _Plan:
    wanted: int
    restarts: int = 0
    slots: list[_Slot] = field(default_factory=list)


class Supervisor(Closeable):
    """Keeps so many managers running, and a broker of its own if there is one.

    A manager that ends by itself with success was drained: it is wanted no longer. One that ends otherwise
    is started again: at once, or after a pause that doubles, up to 30 s, where it ends soon after its start.

    Args:
        run: runs a manager in this process, see ``ManagerProcess``.
        arguments: of ``athena-tuning manager``.
        address: of the cluster.
        workers: how many managers.
        broker: to start again when it dies; None: somebody else's.
        clock: seconds that never jump.

    Raises:
        BrokerAway: if no broker answers.
    """

    def __init__(
        self,
        run: Callable[[Sequence[str]], object],
        arguments: Sequence[str],
        address: Address,
        workers: int,
        broker: Broker | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        _check(workers)
        self.id = ""
        self._run = run
        self._arguments = list(arguments)
        self._address = address
        self._broker = broker
        self._clock = clock
        self._lock = threading.Lock()
        self._plan = _Plan(workers)
        self._connection = Connection(address, "cluster supervisor")
        self._connection.run(self._enter())
        self._watch = PeriodicThread(
            "cluster supervisor", [PeriodicTask("cluster supervisor", LOOK_SECONDS, self.look)]
        )
        self.look()
        self._watch.start()

    @property
    def pids(self) -> list[int]:
        """Process ids of the managers that run."""
        with self._lock:
            return [slot.process.pid for slot in self._plan.slots if slot.process is not None]

    @property
    def restarts(self) -> int:
        """How often a manager was started again because it had died."""
        return self._plan.restarts

    @property
    def wanted(self) -> int:
        """How many managers there are to be."""
        return self._plan.wanted

    def scale(self, workers: int) -> None:
        """Have so many managers from now on; those that are too many answer what they have and end."""
        _check(workers)
        with self._lock:
            self._plan.wanted = workers
        self.look()

    def look(self) -> None:
        """Start what is missing, stop what is too many, and start the broker again if it died."""
        if self._broker is not None and self._broker.process.poll() is not None:
            logger.warning("the broker at %s has ended and is started again", self._address.shown)
            self._broker.start()
        with self._lock:
            plan, now = self._plan, self._clock()
            for slot in list(plan.slots):
                self._note_end(plan, slot, now)
            while len(plan.slots) < plan.wanted:
                plan.slots.append(_Slot())
            for slot in plan.slots[plan.wanted :]:
                if slot.process is not None:
                    slot.process.terminate()
            del plan.slots[plan.wanted :]
            for slot in plan.slots:
                if slot.process is None and now >= slot.not_before:
                    slot.process, slot.started = ManagerProcess(self._run, self._arguments), now

    def _note_end(self, plan: _Plan, slot: _Slot, now: float) -> None:
        if slot.process is None or (code := slot.process.poll()) is None:
            return
        process, slot.process = slot.process, None
        process.forget()
        if code == 0:
            plan.slots.remove(slot)
            plan.wanted = max(0, plan.wanted - 1)
            return
        plan.restarts += 1
        soon = now - slot.started < SOON_SECONDS
        slot.pause = min(max(2 * slot.pause, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS) if soon else 0.0
        slot.not_before = now + slot.pause
        how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
        when = f" in {slot.pause:.1f} s" if slot.pause else ""
        logger.warning("manager %d %s and is started again%s", process.pid, how, when)

    def close(self) -> None:
        """End all managers, after what they have under way, and then the connection. May be called twice."""
        self._watch.close()
        with self._lock:
            self._plan.wanted = 0
            going = [slot.process for slot in self._plan.slots if slot.process is not None]
            self._plan.slots = []
        for process in going:
            process.terminate()
        until = self._clock() + STOP_SECONDS
        for process in going:
            process.end(max(0.1, until - self._clock()))
        self._connection.close()

    async def _enter(self) -> None:
        service = await add_service(
            self._connection.client,
            name=self._address.supervisors,
            version=version("athena-tuning"),
            metadata={"host": socket.gethostname(), "pid": str(os.getpid())},
            stats_handler=lambda _: self._figures(),
        )
        self.id = service.id
        await service.add_endpoint(
            name="scale", subject=self._address.of(self.id, "scale"), handler=self._take_scale
        )
        await self._connection.flush()

    def _figures(self) -> Mapping[str, Any]:
        return {
            "host": socket.gethostname(),
            "cores": os.cpu_count(),
            "wanted": self.wanted,
            "pids": self.pids,
            "restarts": self.restarts,
            "own_broker": self._broker is not None,
        }

    async def _take_scale(self, request: Request) -> None:
        try:
            _check(workers := wire.decode(request.data)["workers"])
        except (ValueError, KeyError, TypeError) as exc:
            await request.respond_error(wire.BAD, type(exc).__name__, wire.encode_error(exc))
            return
        with self._lock:
            self._plan.wanted = workers  # the next look carries it out
        await request.respond(wire.encode(self._figures()))


def _check(workers: Any) -> None:
    if isinstance(workers, bool) or not isinstance(workers, int) or not 0 <= workers <= MOST_WORKERS:
        raise ValueError(f"workers must be a whole number from 0 to {MOST_WORKERS}, not {workers!r:.80}")
