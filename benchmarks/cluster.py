"""Recalls over a cluster of two managers on NATS, beside one process and beside HTTP.

``python benchmarks/cluster.py [--quick] [--json]`` needs a ``nats-server``; docs/cluster.md says where from.
Members are processes of this script, forked as a supervisor's are; what is asked are layers that do nothing,
coroutine layers of 50 ms, and the shared conversations or the sample memory. Compare within a run.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import multiprocessing
import os
import resource
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from harness import Figure, median, options, progress, quantile, report
from recall_memory import load

from athena_tuning import MemoryManager, TuningConfig, open_store
from athena_tuning.cli.manager import run_until_input_ends
from athena_tuning.cluster import Address, NobodyThere, RecallCluster, serve
from athena_tuning.cluster.broker import Broker
from athena_tuning.cluster.fleet import look
from athena_tuning.cluster.manager_process import LOADED
from athena_tuning.cluster.supervisor import Supervisor, manager_arguments
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
        asked = json.loads((await receive())["body"])
        body = msgspec.json.encode(await manager.arecall(**asked))
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", lifespan="off")


@contextmanager
def two(url: str, kind: str, folder: Path, store: str = "") -> Iterator[RecallCluster]:
    """Run two members and give a client that knows both."""
    with (
        process(url, kind, str(folder), store),
        process(url, kind, str(folder), store),
        RecallCluster(url) as client,
    ):
        wait_for(client, 2)
        yield client


@contextmanager
def process(*arguments: str) -> Iterator[BaseProcess]:
    """Run a member."""
    started = FORKS.Process(target=member, args=arguments, daemon=True)
    started.start()
    try:
        yield started
    finally:
        started.kill()
        started.join()


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


def latency(broker: str, folder: Path, count: int) -> list[Figure]:
    """What the way to a member adds, with one caller and layers that do nothing."""
    port = free_port()
    url = f"{broker}/noop"
    with ExitStack() as stack:
        own = stack.enter_context(manager_of(NOOP, folder))
        stack.enter_context(process(url, NOOP, str(folder), ""))
        stack.enter_context(process(str(port), NOOP, str(folder), ""))
        client = stack.enter_context(RecallCluster(url))
        wait_for(client, 1)
        connection = http.client.HTTPConnection("127.0.0.1", port)

        def over_http(n: int) -> None:
            connection.request("POST", "/", json.dumps({"query": f"q {n}"}))
            json.loads(connection.getresponse().read())

        ways: dict[str, Callable[[int], object]] = {
            "in process": lambda n: own.recall(f"q {n}"),
            "cluster": lambda n: client.recall(f"q {n}"),
            "uvicorn": over_http,
        }
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                over_http(0)
                break
            except OSError:
                connection.close()
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(5):
            for way, ask in ways.items():
                taken[way] += each(ask, count // 5)
        before, began = client.members()[0].figures["cpu_s"], time.process_time()
        each(ways["cluster"], count)
        cpu = time.process_time() - began + client.members()[0].figures["cpu_s"] - before
        began = time.process_time()
        each(ways["in process"], count)
        cpu_own = time.process_time() - began
    p50 = {way: median(all_of) for way, all_of in taken.items()}
    p99 = {way: quantile(all_of, 0.99) for way, all_of in taken.items()}
    return [
        Figure("no-op recall in process, p50", p50["in process"], "ms"),
        Figure("no-op recall over HTTP (uvicorn), p50", p50["uvicorn"], "ms"),
        Figure("no-op recall over the cluster, p50", p50["cluster"], "ms"),
        Figure("added by the cluster, p50", p50["cluster"] - p50["in process"], "ms", 0.7),
        Figure("added by HTTP, p50", p50["uvicorn"] - p50["in process"], "ms"),
        Figure("added by the cluster, p99", p99["cluster"] - p99["in process"], "ms", 2.0),
        Figure("CPU added by the cluster, a recall", (cpu - cpu_own) / count * 1000, "ms", 0.3),
    ]


def many(
    client: RecallCluster, count: int, during: Callable[[], object] | None = None
) -> tuple[float, list[Any]]:
    """Ask so many at once; return the seconds until the last answer, and the answers or failures.

    Args:
        client: of the cluster.
        count: how many.
        during: called in a thread once a tenth is answered.
    """

    async def ask() -> list[Any]:
        asked = [asyncio.ensure_future(client.arecall(f"deploy {n}")) for n in range(count)]
        if during is not None:
            while sum(task.done() for task in asked) < count // 10:
                await asyncio.sleep(0.001)
            await asyncio.to_thread(during)
        return list(await asyncio.gather(*asked, return_exceptions=True))

    began = time.perf_counter()
    answers = asyncio.run(ask())
    return time.perf_counter() - began, answers


def at_once(broker: str, folder: Path, *, quick: bool) -> list[Figure]:
    """A thousand recalls of four layers of 50 ms; ten thousand, more than two members can answer in time."""
    url = f"{broker}/slow"
    with (
        process(url, SLOW, str(folder), ""),
        process(url, SLOW, str(folder), ""),
        RecallCluster(url) as client,
    ):
        wait_for(client, 2)
        many(client, 100)
        seconds = median([many(client, 1000)[0] for _ in range(2 if quick else 7)])
        with manager_of(SLOW, folder) as own:

            async def ask() -> None:
                await asyncio.gather(*[own.arecall(f"deploy {n}") for n in range(1000)])

            began = time.perf_counter()
            asyncio.run(ask())
            alone = time.perf_counter() - began
        before = peak_mb()
        all_of, answers = many(client, 10_000)
        grown = peak_mb() - before
        served = sum(isinstance(a, dict) and a["_success"] for a in answers)
        told = sum(isinstance(a, dict) and a["_refused"] for a in answers)
    return [
        Figure("1,000 recalls of 4 x 50 ms, in process", alone * 1000, "ms"),
        Figure("1,000 recalls of 4 x 50 ms, two members", seconds * 1000, "ms", 320.0),
        Figure("10,000 at once: until the last has an answer or 'busy'", all_of, "s", 3.0),
        Figure("10,000 at once: answered", served, ""),
        Figure("10,000 at once: told 'busy'", told, ""),
        Figure("10,000 at once: neither", 10_000 - served - told, "", 0),
        Figure("10,000 at once: memory of the process that asks grows by", grown, "MB", 200.0),
    ]


def peak_mb() -> float:
    """Return the most memory that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def throughput(broker: str, folder: Path, seconds: float) -> list[Figure]:
    """Recalls a second over a real memory: one process with one thread, and two members."""
    with MemoryManager(folder / "memory.db") as loading:
        questions, _ = load(loading)
    texts = [(q["text"], q.get("conv")) for q in questions]
    with manager_of(MEMORY, folder) as own:
        alone = rate(own, texts, seconds, 1)
    url = f"{broker}/memory"
    with (
        process(url, MEMORY, str(folder), ""),
        process(url, MEMORY, str(folder), ""),
        RecallCluster(url) as client,
    ):
        wait_for(client, 2)
        rate(client, texts, 0.5, 8)
        both = rate(client, texts, seconds, 8)
    return [
        Figure("real recalls, one process, one thread", alone, "/s"),
        Figure("real recalls, two members, eight callers", both, "/s"),
        Figure("two members to one process", both / alone, "x", 1.5, at_least=True),
    ]


def rate(asked: Any, texts: Sequence[tuple[str, str | None]], seconds: float, callers: int) -> float:
    """Return recalls a second of so many callers."""
    counts = [0] * callers
    end = time.monotonic() + seconds

    def ask(caller: int) -> None:
        n = caller
        while time.monotonic() < end:
            text, scope = texts[n % len(texts)]
            asked.recall(text, scope=scope, k=10)
            counts[caller] += 1
            n += callers

    threads = [threading.Thread(target=ask, args=(caller,)) for caller in range(callers)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - began)


def failures(folder: Path, *, quick: bool) -> list[Figure]:
    """What members that are killed or hang, and a broker that is killed, cost the recalls under way."""
    url = f"nats://127.0.0.1:{free_port()}"
    lost, slowest, normal, kills = 0, 0.0, 0.0, 2 if quick else 20
    with Broker(Address.parse(url), folder / "own broker") as broker, ExitStack() as stack:
        client = stack.enter_context(RecallCluster(url))
        nobody = median(each(lambda _: _nobody(client), 20))
        running = [stack.enter_context(process(url, SLOW, str(folder), "")) for _ in range(2)]
        wait_for(client, 2)
        for _ in range(3):
            normal = max(normal, many(client, 200)[0])
        for _ in range(kills):
            seconds, answers = many(client, 200, running[0].kill)
            lost += sum(not isinstance(a, dict) for a in answers)
            slowest = max(slowest, seconds)
            running.pop(0)
            running.append(stack.enter_context(process(url, SLOW, str(folder), "")))
            wait_for(client, 2)
            time.sleep(1.1)  # the client looks once a second who is there
        delay = client.delay_seconds("deploy")
        stopped, answers = many(client, 200, lambda: os.kill(running[0].pid or 0, signal.SIGSTOP))
        lost_by_stop = sum(not isinstance(a, dict) for a in answers)
        os.kill(running[0].pid or 0, signal.SIGCONT)
        broker.process.kill()
        broker.process.wait()
        began = time.perf_counter()
        broker.start()
        client.recall("deploy after the broker came back")
        back = time.perf_counter() - began
    return [
        Figure("nobody there: said after", nobody, "ms", 10.0),
        Figure("200 under way, nothing happens: slowest", normal, "s"),
        Figure("hedging delay", delay, "s"),
        Figure(f"200 under way, member killed, {kills} times: lost", lost, "", 0),
        Figure("200 under way, member killed: slowest", slowest, "s", normal + delay + 0.5),
        Figure("200 under way, member hangs: lost", lost_by_stop, "", 0),
        Figure("200 under way, member hangs: slowest", stopped, "s", normal + delay + 0.5),
        Figure("broker started again: until an answer", back, "s", 3.0),
    ]


def starts(broker: str, folder: Path, *, quick: bool) -> list[Figure]:
    """How long a manager takes from its start to its first answer: the first of a machine, and others."""
    url, memory = f"{broker}/starts", folder / "small.db"
    with MemoryManager(memory) as manager:
        manager.remember({"id": "n1", "layer": "semantic", "text": "Deploys are on Friday"})
    arguments = manager_arguments(url, memory=str(memory), store=f"sqlite:///{folder / 'starts.db'}")
    taken = []
    with RecallCluster(url) as client:
        began = time.perf_counter()
        with Supervisor(run_until_input_ends, arguments, Address.parse(url), 1) as supervisor:
            for n in range(1, 4 if quick else 8):
                wait_for(client, n)
                taken.append(time.perf_counter() - began)
                began = time.perf_counter()
                supervisor.scale(n + 1)
    return [
        Figure("the first member of a supervisor answers after its start", taken[0], "s"),
        Figure("a new member answers after its start", median(taken[1:]), "s", 1.0),
    ]


def _nobody(client: RecallCluster) -> None:
    try:
        client.recall("anybody?")
    except NobodyThere:
        return
    raise AssertionError("somebody answered")


def propagation(broker: str, folder: Path, count: int) -> list[Figure]:
    """How long a config takes to be in force at every member."""
    url, store = f"{broker}/config", f"sqlite:///{folder / 'store.db'}"
    taken = []
    with (
        process(url, NOOP, str(folder), store),
        process(url, NOOP, str(folder), store),
        RecallCluster(url) as client,
    ):
        wait_for(client, 2)
        members = [found.id for found in client.members()]
        for n in range(count):
            at = client.configs.default.version
            began = time.perf_counter()
            config = TuningConfig(max_concurrent=5 + n % 7)
            version = client.apply_config(config, expected_version=at, actor="b", reason="r").version
            while any(client.configs_of(name).head < version for name in members):
                pass
            taken.append((time.perf_counter() - began) * 1000)
    return [
        Figure("config in force at all members, p50", median(taken), "ms"),
        Figure("config in force at all members, p99", quantile(taken, 0.99), "ms", 50.0),
    ]


def main() -> int:
    asked = options(__doc__)
    port, figures = free_port(), []
    url = f"nats://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as name, Broker(Address.parse(url), Path(name) / "broker"):
        folder = Path(name)
        progress("starts")
        figures += starts(url, folder, quick=asked.quick)
        progress("latency")
        figures += latency(url, folder, 250 if asked.quick else 5000)
        progress("at once")
        figures += at_once(url, folder, quick=asked.quick)
        progress("throughput")
        figures += throughput(url, folder, 1.5 if asked.quick else 10.0)
        progress("configs")
        figures += propagation(url, folder, 20 if asked.quick else 200)
        progress("failures")
        figures += failures(folder, quick=asked.quick)
    return report(figures, asked)


if __name__ == "__main__":
    FORKS.set_forkserver_preload([run_until_input_ends.__module__, *LOADED, "msgspec", "uvicorn", "recall"])
    raise SystemExit(main())
