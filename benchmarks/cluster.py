"""Recalls over a cluster of two managers on NATS, beside one process, HTTP, and a bare NATS round trip.

``python benchmarks/cluster.py [--quick] [--json]`` needs a ``nats-server``; docs/cluster.md says where from.
Compare within a run: client, members and broker share the cores with each other and with whatever else runs.
What fails and starts is measured by ``benchmarks/cluster_failures.py``.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import nats
from cluster_members import (
    MEMORY,
    NOOP,
    SLOW,
    cpu_seconds,
    each,
    free_port,
    manager_of,
    many,
    preload,
    process,
    respond,
    two_members,
    wait_for,
)
from harness import Figure, median, options, progress, quantile, report
from recall_memory import load

from athena_tuning import MemoryManager
from athena_tuning.cluster import Address, RecallCluster, wire
from athena_tuning.cluster.broker import Broker

ROUNDS, WARM = 5, 50


@dataclass
class Way:
    """A way to have a recall answered.

    Attributes:
        ask: asks for the recall of a number.
        others: processes that work for it, beside this one.
        taken: ms of each.
        cpu: CPU ms of one, by round.
    """

    ask: Callable[[int], object]
    others: Sequence[BaseProcess] = ()
    taken: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def round(self, count: int) -> None:
        """Ask so often, one after the other."""
        before = cpu_seconds(*self.others)
        self.taken += each(self.ask, count)
        self.cpu.append((cpu_seconds(*self.others) - before) / count * 1000)

    @property
    def p50(self) -> float:
        """Median, in ms."""
        return median(self.taken)

    @property
    def p99(self) -> float:
        """What 99 % stay below, in ms."""
        return quantile(self.taken, 0.99)


@contextmanager
def over_http(port: int) -> Iterator[Callable[[int], object]]:
    """Give what asks a server of one member, once it answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port)

    def ask(n: int) -> None:
        connection.request("POST", "/", json.dumps({"query": f"q {n}"}))
        json.loads(connection.getresponse().read())

    with closing(connection):
        wait_until_answered(lambda: ask(0), OSError, connection.close)
        yield ask


@contextmanager
def over_bare_nats(broker: str) -> Iterator[Callable[[int], object]]:
    """Give what sends what a client of a cluster sends, by nothing but nats-py."""
    loop = asyncio.new_event_loop()
    connection = loop.run_until_complete(nats.connect(broker))

    def ask(n: int) -> None:
        envelope = wire.Envelope(f"a-client-of-{n}", time.time() + 30)
        body = wire.encode({"query": f"q {n}", "k": 5, "layers": None})
        request = connection.request("bare", body, timeout=30, headers=envelope.to_headers())
        wire.decode(loop.run_until_complete(request).data)

    try:
        wait_until_answered(lambda: ask(0), nats.errors.Error)
        yield ask
    finally:
        loop.run_until_complete(connection.close())
        loop.close()


def wait_until_answered(
    ask: Callable[[], object], failure: type[Exception], after: Callable[[], object] = lambda: None
) -> None:
    """Ask until there is an answer."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            ask()
        except failure:
            after()
        else:
            return
    raise TimeoutError("there was no answer within 30 s")


def latency(broker: str, folder: Path, count: int) -> list[Figure]:
    """What the way to a member adds, with one caller and layers that do nothing."""
    port, url = free_port(), f"{broker}/noop"
    with ExitStack() as stack:
        own = stack.enter_context(manager_of(NOOP, folder))
        answer = wire.encode_answer(own.recall("q 0"))
        member = stack.enter_context(process(url, NOOP, str(folder), ""))
        server = stack.enter_context(process(str(port), NOOP, str(folder), ""))
        responder = stack.enter_context(process(broker, answer, run=respond))
        client = stack.enter_context(RecallCluster(url))
        wait_for(client, 1)
        ways = {
            "in process": Way(lambda n: own.recall(f"q {n}")),
            "over bare NATS": Way(stack.enter_context(over_bare_nats(broker)), [responder]),
            "over HTTP (uvicorn)": Way(stack.enter_context(over_http(port)), [server]),
            "over the cluster": Way(lambda n: client.recall(f"q {n}"), [member]),
        }
        for way in ways.values():
            each(way.ask, WARM)
        for _ in range(ROUNDS):
            for way in ways.values():
                way.round(count // ROUNDS)
    here, bare, cluster = ways["in process"], ways["over bare NATS"], ways["over the cluster"]
    cpu = median([there - alone for there, alone in zip(cluster.cpu, here.cpu, strict=True)])
    figures = [Figure(f"no-op recall {name}, p50", way.p50, "ms") for name, way in ways.items()]
    figures += [Figure(f"no-op recall {name}, CPU", median(way.cpu), "ms") for name, way in ways.items()]
    return [
        *figures,
        Figure("a bare NATS round trip of the same bytes, p99", bare.p99, "ms"),
        Figure("added by the cluster, p50", cluster.p50 - here.p50, "ms", 0.7),
        Figure("added by the cluster, p99", cluster.p99 - here.p99, "ms", 2.0),
        Figure("CPU added by the cluster, a recall", cpu, "ms", 0.3),
        Figure(
            "CPU added by the cluster, of a bare round trip's",
            cpu / median(bare.cpu),
            "x",
        ),
    ]


def at_once(broker: str, folder: Path, *, quick: bool) -> list[Figure]:
    """A thousand recalls of four layers of 50 ms; ten thousand, more than two members can answer in time."""
    with two_members(f"{broker}/slow", SLOW, folder) as (client, members):
        many(client, 100)
        seconds = median([many(client, 1000)[0] for _ in range(2 if quick else 7)])
        with manager_of(SLOW, folder) as own:
            alone = many(own, 1000)[0]
        before, used = peak_mb(), cpu_seconds(*members)
        all_of, answers = many(client, 10_000)
        used = cpu_seconds(*members) - used
        grown = peak_mb() - before
    kept = [answer for answer in answers if isinstance(answer, dict)]
    served = sum(answer["_success"] for answer in kept)
    refused = sum(answer["_refused"] for answer in kept)
    return [
        Figure("1,000 recalls of 4 x 50 ms, in process", alone * 1000, "ms"),
        Figure("1,000 recalls of 4 x 50 ms, two members", seconds * 1000, "ms", 320.0),
        Figure("10,000 at once: until the last has an answer or 'busy'", all_of, "s", 3.0),
        Figure("10,000 at once: CPU of client and members", used, "s"),
        Figure("10,000 at once: answered", served, ""),
        Figure("10,000 at once: told 'busy'", refused, ""),
        Figure("10,000 at once: neither", 10_000 - served - refused, "", 0),
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
    with two_members(f"{broker}/memory", MEMORY, folder) as (client, _):
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


def main() -> int:
    chosen = options(__doc__)
    port, figures = free_port(), []
    url = f"nats://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as name, Broker(Address.parse(url), Path(name) / "broker"):
        folder = Path(name)
        progress("latency")
        figures += latency(url, folder, 500 if chosen.quick else 5000)
        progress("at once")
        figures += at_once(url, folder, quick=chosen.quick)
        progress("throughput")
        figures += throughput(url, folder, 1.5 if chosen.quick else 10.0)
    return report(figures, chosen)


if __name__ == "__main__":
    preload("msgspec", "uvicorn", "recall")
    raise SystemExit(main())
