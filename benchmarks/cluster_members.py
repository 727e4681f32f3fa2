"""Members, clients and callers of a cluster, for the benchmarks of clusters.

Members are processes forked as a supervisor's are, over layers that do nothing, coroutine layers of 50 ms, or
the shared conversations, or else the sample memory.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil

from athena_tuning import MemoryManager, TuningConfig, open_store
from athena_tuning.cli.manager import run_until_input_ends
from athena_tuning.cluster import RecallCluster, serve
from athena_tuning.cluster.fleet import look
from athena_tuning.manager_process import LOADED
from athena_tuning.store import ConfigConflict

NOOP, SLOW, MEMORY = "noop", "slow", "memory"
NAMES = ("one", "two", "three", "four")
FORKS = multiprocessing.get_context("forkserver")


class Nothing:
    """A layer that finds five items at once."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def search(self, query: Any, k: int, deadline: float) -> list[dict[str, Any]]:
        """Find them."""
        return [{"id": f"{self.name}{n}", "text": "an item"} for n in range(5)]


class Slow(Nothing):
    """A layer that takes 50 ms without a thread."""

    async def search(self, query: Any, k: int, deadline: float) -> list[dict[str, Any]]:
        """Wait and find them."""
        await asyncio.sleep(0.05)
        return await super().search(query, k, deadline)


def manager_of(kind: str, folder: Path, **how: Any) -> MemoryManager:
    """Return a manager over layers of a kind, which refuses nobody but where they are slow."""
    kinds: dict[str, type[Nothing]] = {NOOP: Nothing, SLOW: Slow}
    layers = [kinds[kind](name) for name in NAMES] if kind in kinds else None
    manager = MemoryManager(folder / "memory.db" if kind == MEMORY else ":memory:", layers=layers, **how)
    limit = {NOOP: 8, SLOW: 1024, MEMORY: 2}[kind]
    refuses_after = TuningConfig().overload_after_seconds if kind == SLOW else None
    config = TuningConfig(
        max_concurrent=limit,
        enable_cache=False,
        enable_parallel=kind == SLOW,
        overload_after_seconds=refuses_after,
    )
    with suppress(ConfigConflict):  # the other one, on the same store, was first
        manager.apply_config(config, expected_version=0, actor="benchmark", reason="as measured")
    return manager


def member(url: str, kind: str, folder: str, store: str) -> None:
    """Be a member until it is killed; with an HTTP port in place of a URL, a server there."""
    shared = {"store": open_store(store)} if store else {}
    with manager_of(kind, Path(folder), **shared) as manager:
        if url.isdigit():
            serve_http(manager, int(url))
            return
        with serve(manager, url):
            threading.Event().wait()


def serve_http(manager: MemoryManager, port: int) -> None:
    """Answer recalls as JSON over HTTP, with nothing but uvicorn and JSON in between."""
    import msgspec
    import uvicorn

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        request = json.loads((await receive())["body"])
        body = msgspec.json.encode(await manager.arecall(**request))
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    uvicorn.run(
        app, host="127.0.0.1", port=port, log_level="error", lifespan="off", timeout_keep_alive=600
    )  # other ways are measured in between


def respond(url: str, payload: bytes) -> None:
    """Answer every request on a bare NATS connection with the same bytes, until killed."""
    import nats

    async def run() -> None:
        connection = await nats.connect(url)

        async def answer(msg: Any) -> None:
            await msg.respond(payload)

        await connection.subscribe("bare", queue="members", cb=answer)
        await asyncio.Event().wait()

    asyncio.run(run())


def preload(*modules: str) -> None:
    """Have members forked from a process that has loaded what they need."""
    FORKS.set_forkserver_preload([run_until_input_ends.__module__, *LOADED, *modules])


@contextmanager
def process(*arguments: Any, run: Callable[..., None] = member) -> Iterator[BaseProcess]:
    """Run a member, or something else, in a process of its own."""
    started = FORKS.Process(target=run, args=arguments, daemon=True)
    started.start()
    try:
        yield started
    finally:
        started.kill()
        started.join()


@contextmanager
def two_members(
    url: str, kind: str, folder: Path, store: str = ""
) -> Iterator[tuple[RecallCluster, list[BaseProcess]]]:
    """Run two members and give a client that knows both."""
    with (
        process(url, kind, str(folder), store) as one,
        process(url, kind, str(folder), store) as other,
        RecallCluster(url) as client,
    ):
        wait_for(client, 2)
        yield client, [one, other]


def cpu_seconds(*processes: BaseProcess) -> float:
    """Return the CPU seconds that this process and others have used."""
    others = [psutil.Process(each.pid).cpu_times() for each in processes]
    return time.process_time() + sum((times.user + times.system for times in others), 0.0)


def free_port() -> int:
    """Return a port that nobody has."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def wait_for(client: RecallCluster, count: int) -> None:
    """Wait until so many members are there."""
    until = time.monotonic() + 60
    while len(present(client, count)) != count:
        if time.monotonic() > until:
            raise TimeoutError(f"{count} members did not come")


def present(client: RecallCluster, most: int) -> list[Any]:
    """Return who is there, without a wait for more than there are to be."""
    return client._connection.run(look(client._connection, most=most))


def each(ask: Callable[[int], object], count: int) -> list[float]:
    """Return the milliseconds of recalls one after the other."""
    taken = []
    for n in range(count):
        began = time.perf_counter()
        ask(n)
        taken.append((time.perf_counter() - began) * 1000)
    return taken


def many(client: Any, count: int, during: Callable[[], object] | None = None) -> tuple[float, list[Any]]:
    """Ask so many at once; return the seconds until the last answer, and the answers or failures.

    Args:
        client: of the cluster, or a manager.
        count: how many.
        during: called in a thread once a tenth is answered.
    """

    async def ask() -> list[Any]:
        recalls = [asyncio.ensure_future(client.arecall(f"deploy {n}")) for n in range(count)]
        if during is not None:
            while sum(recall.done() for recall in recalls) < count // 10:
                await asyncio.sleep(0.001)
            await asyncio.to_thread(during)
        return list(await asyncio.gather(*recalls, return_exceptions=True))

    began = time.perf_counter()
    answers = asyncio.run(ask())
    return time.perf_counter() - began, answers
