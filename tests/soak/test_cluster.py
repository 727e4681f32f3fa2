"""A cluster whose members and broker are killed under two hundred recalls, again and again: none is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nats", reason="no cluster: nats-py is missing")

from athena_tuning import MemoryManager
from athena_tuning.cli.manager import run_until_input_ends
from athena_tuning.cluster import Address, RecallCluster
from athena_tuning.cluster.broker import Broker, find_server
from athena_tuning.cluster.supervisor import Supervisor, manager_arguments
from athena_tuning.testing.waiting import until
from tests.soak.fleet import Row
from tests.support.memory_layers import NOTES

pytestmark = pytest.mark.soak

Rows = Callable[[str, str], Row]
KILLS, UNDER_WAY = 20, 200
SLACK_SECONDS = 0.5
"""Above what the recalls take without a fault, and the delay after which a silent member is hedged."""
BROKER_SECONDS = 3.0


@dataclass
class Cluster:
    """Two managers that a supervisor keeps, and a client that knows both."""

    broker: Broker
    supervisor: Supervisor
    client: RecallCluster
    asked: int = 0

    def whole(self) -> None:
        """Wait until both are there, and the client knows so."""
        until(lambda: len(self.client.members()) == 2, 60)
        ids = {member.id for member in self.client.members()}
        until(lambda: set(self.client._fleet.members) == ids, 60)

    def recall(self, during: Callable[[], object] = lambda: None) -> tuple[float, list[Any]]:
        """Ask for many at once and call ``during`` amid them; return the slowest's seconds, and answers."""
        self.asked += UNDER_WAY

        async def main() -> tuple[float, list[Any]]:
            texts = [f"billing deploy {self.asked + n}" for n in range(UNDER_WAY)]
            began = time.monotonic()
            recalls = [asyncio.ensure_future(self.client.arecall(text, use_cache=False)) for text in texts]
            while sum(recall.done() for recall in recalls) < UNDER_WAY // 10:
                await asyncio.sleep(0.001)
            during()
            answers = await asyncio.gather(*recalls, return_exceptions=True)
            return time.monotonic() - began, answers

        return asyncio.run(main())

    def normal(self) -> float:
        """Return the slowest's seconds where nothing happens."""
        return max(self.recall()[0] for _ in range(5))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    try:
        find_server()
    except FileNotFoundError as exc:
        pytest.skip(str(exc))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        url = f"nats://127.0.0.1:{listening.getsockname()[1]}"
    memory, address = tmp_path / "memory.db", Address.parse(url)
    with MemoryManager(memory) as manager:
        manager.remember_many(NOTES)
    arguments = manager_arguments(url, memory=str(memory), store=f"sqlite:///{tmp_path / 'store.db'}")
    with (
        Broker(address, tmp_path / "broker") as broker,
        Supervisor(run_until_input_ends, arguments, address, 2) as supervisor,
        RecallCluster(url) as client,
    ):
        running = Cluster(broker, supervisor, client)
        running.whole()
        yield running


def holds(row: Row, answers: list[Any]) -> None:
    """Each recall has an answer, or was refused in good order."""
    lost = [answer for answer in answers if not isinstance(answer, dict)]
    row.recalls += len(answers)
    row.failed += len(lost)
    assert lost == []
    assert all(answer["_success"] or answer["_refused"] for answer in answers)


def test_members_that_are_killed(cluster: Cluster, new_row: Rows) -> None:
    row = new_row(f"kill -9 of a cluster's member, {KILLS} times", "NATS")
    normal = delay = slowest = 0.0
    for _ in range(KILLS):
        normal = max(normal, cluster.normal())
        delay = max(delay, cluster.client.delay_seconds("billing deploy"))
        victim = cluster.supervisor.pids[0]
        seconds, answers = cluster.recall(lambda pid=victim: os.kill(pid, signal.SIGKILL))
        slowest = max(slowest, seconds)
        holds(row, answers)
        cluster.whole()
    assert cluster.supervisor.restarts == KILLS
    assert slowest <= normal + delay + SLACK_SECONDS


def test_a_member_that_is_suspended(cluster: Cluster, new_row: Rows) -> None:
    row, normal = new_row("SIGSTOP of a cluster's member", "NATS"), cluster.normal()
    delay, victim = cluster.client.delay_seconds("billing deploy"), cluster.supervisor.pids[0]
    try:
        seconds, answers = cluster.recall(lambda: os.kill(victim, signal.SIGSTOP))
    finally:
        os.kill(victim, signal.SIGCONT)
    holds(row, answers)
    assert seconds <= normal + delay + SLACK_SECONDS


def test_a_broker_that_is_killed(cluster: Cluster, new_row: Rows) -> None:
    row = new_row("kill -9 of a cluster's broker, 5 times", "NATS")
    for turn in range(5):
        cluster.broker.process.kill()
        cluster.broker.process.wait()
        began = time.monotonic()
        cluster.broker.start()
        holds(row, [cluster.client.recall(f"billing after {turn}")])
        assert time.monotonic() - began <= BROKER_SECONDS
