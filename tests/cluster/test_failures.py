"""Processes that are killed, stopped and started again under recalls; a real broker that goes away."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from athena_tuning import MemoryManager, TuningConfig, open_store
from athena_tuning.cli.manager import run_until_input_ends
from athena_tuning.cluster import Address, NobodyThere, RecallCluster, serve
from athena_tuning.cluster.broker import Broker
from athena_tuning.cluster.cluster_status import ClusterAdmin
from athena_tuning.cluster.supervisor import Supervisor, manager_arguments
from athena_tuning.testing.waiting import until
from tests.support.memory_layers import NOTES, records

pytestmark = pytest.mark.slow


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    with MemoryManager(tmp_path / "memory.db") as manager:
        manager.remember_many(NOTES)
    return tmp_path / "memory.db"


@pytest.fixture
def supervisor(url: str, memory: Path, tmp_path: Path) -> Iterator[Supervisor]:
    """Give one that keeps two managers, which share memory and store."""
    arguments = manager_arguments(url, memory=str(memory), store=f"sqlite:///{tmp_path / 'store.db'}")
    with Supervisor(run_until_input_ends, arguments, Address.parse(url), 2) as keeps:
        yield keeps


@pytest.fixture
def cluster(url: str, supervisor: Supervisor) -> Iterator[RecallCluster]:
    with RecallCluster(url) as client:
        until(lambda: len(client.members()) == 2, 60)
        until(lambda: len(client._fleet.members) == 2)
        yield client


def ask(cluster: RecallCluster, count: int, under_way: Any) -> list[Any]:
    """Ask so many at once; ``under_way`` is called once a tenth is answered."""

    async def main() -> list[Any]:
        asked = [asyncio.ensure_future(cluster.arecall(f"billing deploy {n}", k=2)) for n in range(count)]
        while sum(task.done() for task in asked) < count // 10:
            await asyncio.sleep(0.002)
        under_way()
        return await asyncio.gather(*asked, return_exceptions=True)

    return asyncio.run(main())


def test_no_recall_is_lost_when_a_member_is_killed_and_it_comes_back(
    cluster: RecallCluster, supervisor: Supervisor
) -> None:
    victim = supervisor.pids[0]
    answers = ask(cluster, 200, lambda: os.kill(victim, signal.SIGKILL))
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    assert all(answer["_success"] or answer["_refused"] for answer in answers)
    until(lambda: supervisor.restarts == 1)
    until(lambda: len(cluster.members()) == 2, 60)
    assert victim not in supervisor.pids


def test_no_recall_is_lost_when_a_member_hangs(cluster: RecallCluster, supervisor: Supervisor) -> None:
    victim = supervisor.pids[0]
    try:
        answers = ask(cluster, 200, lambda: os.kill(victim, signal.SIGSTOP))
        later = [cluster.recall(f"when did billing {n} fail?") for n in range(5)]
    finally:
        os.kill(victim, signal.SIGCONT)
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    assert all(answer["_success"] for answer in later)


def test_drained_member_is_not_started_again(
    cluster: RecallCluster, supervisor: Supervisor, url: str
) -> None:
    with ClusterAdmin(url) as admin:
        gone = admin.drain(cluster.members()[0].worker)
        until(lambda: supervisor.wanted == 1 and len(supervisor.pids) == 1)
        until(lambda: gone.id not in {member.id for member in cluster.members()})
        assert supervisor.restarts == 0
        with pytest.raises(ValueError, match="there are"):
            admin.drain("nobody")


def test_cluster_is_scaled_from_elsewhere(cluster: RecallCluster, supervisor: Supervisor, url: str) -> None:
    with ClusterAdmin(url) as admin:
        assert admin.scale(1)["wanted"] == 1
        until(lambda: len(cluster.members()) == 1)
        assert admin.scale(2)["wanted"] == 2
        until(lambda: len(cluster.members()) == 2, 60)
        status = admin.status(0.1).to_dict()
        with pytest.raises(ValueError, match="workers"):
            admin.scale(9999)
        with pytest.raises(ValueError, match="--host"):
            admin.scale(1, "elsewhere")
    assert len(status["members"]) == 2
    assert status["supervisors"][0]["wanted"] == 2
    assert len(status["memories"]) == 1


def test_broker_that_is_killed_and_started_again_is_found_again(
    own_broker: tuple[str, Broker], memory: Path
) -> None:
    url, broker = own_broker
    with MemoryManager(memory) as manager, serve(manager, url), RecallCluster(url) as cluster:
        assert cluster.recall("billing")["_success"]
        broker.process.kill()
        broker.process.wait()
        assert manager.recall("billing in this process")["_success"]
        broker.start()
        assert cluster.recall("billing once more")["_success"]
        assert cluster.remember({"id": "x", "layer": "semantic", "text": "kept"}) == "x"
        assert len({record.query_id for record in records(manager)}) == len(records(manager)) == 3


def test_nobody_is_known_to_be_there_at_once_after_a_member_has_left(url: str, memory: Path) -> None:
    with RecallCluster(url) as cluster:
        with MemoryManager(memory) as manager, serve(manager, url):
            cluster.recall("billing")
        with pytest.raises(NobodyThere):
            cluster.recall("billing")


def test_write_that_two_members_get_is_carried_out_once(url: str, memory: Path) -> None:
    item = {"id": "n", "layer": "semantic", "text": "first"}
    with (
        MemoryManager(memory) as one,
        MemoryManager(memory) as other,
        serve(one, url),
        serve(other, url),
        RecallCluster(url) as cluster,
    ):
        for member in cluster.members():
            cluster._ask("remember_many", to=member.id, items=[item], idempotency_key="w-0")
            cluster._ask(
                "remember_many", to=member.id, items=[{**item, "text": "later"}], idempotency_key="w-1"
            )
        assert one.item("n").text == "later"


def test_other_members_are_told_at_once_of_a_config_that_one_put_in_force(
    url: str, memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    with (
        open_store(f"sqlite:///{tmp_path / 'store.db'}") as store,
        MemoryManager(memory, store=store) as one,
        MemoryManager(memory, store=store) as other,
        serve(one, url),
        serve(other, url),
        RecallCluster(url) as cluster,
    ):
        for manager in (one, other):
            follow = manager.follow_configs
            monkeypatch.setattr(
                manager, "follow_configs", lambda name=manager.worker_id, f=follow: (f(), told.append(name))
            )
        cluster.apply_config(TuningConfig(max_concurrent=7), expected_version=0, actor="ana", reason="test")
        until(lambda: len(told) == 1)
        assert one.config.max_concurrent == other.config.max_concurrent == 7
        cluster.recall("billing")
        assert cluster.configs.head == 1
        assert len(told) == 1, "whoever wrote it need not look, and a recall changes nothing"


def test_managers_end_with_a_supervisor_that_is_killed(url: str, memory: Path, tmp_path: Path) -> None:
    words = ("cluster", "join", url, "--workers", "2", "--memory", str(memory))
    store = ("--store", f"sqlite:///{tmp_path / 'store.db'}")
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "athena_tuning", *words, *store], stdout=subprocess.DEVNULL
    )
    with RecallCluster(url) as cluster:
        try:
            until(lambda: len(cluster.members()) == 2, 60)
            pids = [int(member.figures["pid"]) for member in cluster.members()]
            assert cluster.recall("billing")["_success"]
        finally:
            supervisor.kill()
            supervisor.wait()
        until(lambda: not any(map(_runs, pids)), 30)
        assert cluster.members() == []


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_supervisor_pauses_before_it_starts_again_what_ends_at_once(url: str) -> None:
    with Supervisor(run_until_input_ends, ["--store", "nonsense://"], Address.parse(url), 1) as keeps:
        until(lambda: keeps.restarts >= 2)
        began, before = time.monotonic(), keeps.restarts
        until(lambda: keeps.restarts > before)
        assert time.monotonic() - began > 0.5
