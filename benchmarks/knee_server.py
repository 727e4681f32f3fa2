"""A TCP server with a knee in a process of its own, and a manager whose layers ask it over real sockets."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import queue
import random
import socket
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Self

from athena_tuning.model import Mode, TuningConfig
from athena_tuning.recall import MemoryManager
from athena_tuning.recall.items import LayerQuery

KNEE = 6
WORK_MS = 60.0
LAYERS = ("semantic", "graph")
QUESTION = "What is the ledger?"


def serve(port: Connection) -> None:
    """Serve requests: so many at full speed, then each further one slows all that come after it."""
    asyncio.run(_serve(port))


async def _serve(port: Connection) -> None:
    inside = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal inside
        while line := await reader.readline():
            inside += 1
            over = max(0, inside - KNEE)
            await asyncio.sleep(float(line) / 1000 * (max(1.0, inside / KNEE) + 0.05 * over**2))
            inside -= 1
            writer.write(b'[{"id": "n1", "text": "Ana keeps the ledger"}]\n')
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port.send(server.sockets[0].getsockname()[1])
    async with server:
        await server.serve_forever()


class SocketLayer:
    """Asks the server on a connection of the thread's own."""

    keeps_deadline = False

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self._port = port
        self._of_thread = threading.local()
        self._rng = random.Random(name)

    def search(self, query: LayerQuery, k: int, deadline: float) -> list[dict[str, Any]]:
        """Send how much work it is, wait for the line that comes back."""
        stream = getattr(self._of_thread, "stream", None)
        if stream is None:
            stream = socket.create_connection(("127.0.0.1", self._port)).makefile("rwb")
            self._of_thread.stream = stream
        work = WORK_MS * self._rng.lognormvariate(-0.045, 0.3)
        stream.write(f"{work}\n".encode())
        stream.flush()
        found: list[dict[str, Any]] = json.loads(stream.readline())
        return found


@dataclass(frozen=True, slots=True)
class Offered:
    """One recall: when it came (s), and what it took (ms), infinite if it was refused or had no answer."""

    began: float
    latency_ms: float
    took_ms: float


class RealWorld:
    """The server and a manager for it, at the best limit. Use it in a ``with`` statement."""

    limit = KNEE

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        mine, theirs = context.Pipe()
        self._server = context.Process(target=serve, args=(theirs,), daemon=True)
        self._server.start()
        self._port = mine.recv()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.terminate()
        self._server.join()

    def measured_capacity(self, seconds: float) -> float:
        """Return recalls a second while callers always wait."""
        with self._manager(admission=False) as opened:
            return sum(_ask_until(opened, 2 * KNEE, time.perf_counter() + seconds)) / seconds

    def offer(
        self,
        rate: float,
        seconds: float,
        seed: int,
        *,
        then: tuple[float, float] = (1.0, 0.0),
        admission: bool = True,
    ) -> list[Offered]:
        """Offer independent arrivals at a rate, then others; latency counts from when each should come."""
        rng, due, at = random.Random(seed), [], 0.0
        for each, until in ((rate, seconds), (then[0], seconds + then[1])):
            while (at := at + rng.expovariate(each)) < until:
                due.append(at)
            at = until
        with self._manager(admission=admission) as opened:
            _ask_until(opened, KNEE, time.perf_counter() + 1.5)  # connections, and typical service times
            return offered(opened, due)

    def _manager(self, admission: bool) -> MemoryManager:
        layers = [SocketLayer(name, self._port) for name in LAYERS]
        opened = MemoryManager(":memory:", layers=layers, mode=Mode.PINNED)
        config = TuningConfig(
            self.limit,
            timeout_seconds=60.0,
            overload_after_seconds=TuningConfig().overload_after_seconds if admission else None,
        )
        opened.apply_config(
            config,
            expected_version=opened.configs.default.version,
            actor="benchmark",
            reason="start",
            mode=Mode.PINNED,
        )
        return opened


def _ask_until(opened: MemoryManager, clients: int, until: float) -> list[int]:
    done = [0] * clients

    def ask(number: int) -> None:
        while time.perf_counter() < until:
            opened.recall(QUESTION, use_cache=False)
            done[number] += 1

    _join([threading.Thread(target=ask, args=(number,)) for number in range(clients)])
    return done


def offered(opened: MemoryManager, due: list[float]) -> list[Offered]:
    """Ask at given times from as many threads as it takes, at most 600."""
    work: queue.SimpleQueue[float | None] = queue.SimpleQueue()
    came: list[Offered] = []
    threads: list[threading.Thread] = []
    idle = threading.Semaphore(0)
    start = time.perf_counter()

    def ask() -> None:
        while (at := work.get()) is not None:
            began = time.perf_counter()
            answer = opened.recall(QUESTION, use_cache=False)
            ended = time.perf_counter()
            whole = answer["_success"] and not answer["_partial"]
            latency = (ended - start - at) * 1000 if whole else float("inf")
            came.append(Offered(at, latency, (ended - began) * 1000))
            idle.release()

    for at in due:
        time.sleep(max(0.0, start + at - time.perf_counter()))
        if not idle.acquire(blocking=len(threads) >= 600):
            threads.append(threading.Thread(target=ask))
            threads[-1].start()
        work.put(at)
    for _ in threads:
        work.put(None)
    for thread in threads:
        thread.join()
    return sorted(came, key=lambda each: each.began)


def _join(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
