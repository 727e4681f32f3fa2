"""Who is asked, who is asked next, and that each recall is recorded once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from athena_tuning import MemoryManager
from athena_tuning.cluster import NobodyThere, RecallCluster, dispatch, serve, wire
from athena_tuning.cluster.address import Address
from athena_tuning.cluster.connection import Connection
from athena_tuning.cluster.member import ClusterMember
from athena_tuning.model.source import recorded_as
from athena_tuning.recall.request import RecallRequest
from athena_tuning.testing.waiting import until
from tests.support.memory_layers import StubLayer, records, set_config

WAIT = 30.0


class Members:
    """Members of a cluster, each over a stub layer."""

    def __init__(self, url: str, stack: ExitStack) -> None:
        self.url = url
        self.managers: list[MemoryManager] = []
        self.members: list[ClusterMember] = []
        self._stack = stack

    def add(self, answer: Callable[..., Any] = lambda query, k, deadline: [], **how: Any) -> ClusterMember:
        manager = self._stack.enter_context(MemoryManager(":memory:", layers=[StubLayer("own", answer)]))
        member = self._stack.enter_context(serve(manager, self.url, **how))
        self.managers.append(manager)
        self.members.append(member)
        return member

    def records(self) -> list[Any]:
        return [record for manager in self.managers for record in records(manager)]


@pytest.fixture
def members(url: str) -> Iterator[Members]:
    with ExitStack() as stack:
        yield Members(url, stack)


@pytest.fixture
def cluster(url: str) -> Iterator[RecallCluster]:
    with RecallCluster(url) as client:
        yield client


def known(cluster: RecallCluster, count: int) -> None:
    """Wait until the client knows so many members."""
    until(lambda: len(cluster._fleet.members) == count)


def test_nobody_there_is_said_with_the_way_out(cluster: RecallCluster) -> None:
    with pytest.raises(NobodyThere, match="cluster start"):
        cluster.recall("billing")
    with pytest.raises(NobodyThere, match="cluster start"):
        cluster.remember({"id": "a", "layer": "semantic", "text": "b"})


def test_recalls_are_spread_and_each_is_recorded_once(members: Members, cluster: RecallCluster) -> None:
    members.add(), members.add()
    answers = [cluster.recall(f"billing {n}") for n in range(60)]
    assert min(len(records(manager)) for manager in members.managers) > 5
    assert sorted(r.query_id for r in members.records()) == sorted(a["_query_id"] for a in answers)


def test_repeated_recall_goes_to_the_member_that_has_its_answer(
    members: Members, cluster: RecallCluster
) -> None:
    members.add(), members.add(), members.add()
    first = cluster.recall("billing", scope="a")
    again = [cluster.recall("billing", scope="a") for _ in range(20)]
    assert all(answer["_cache_hit"] for answer in again)
    assert {answer["_member"] for answer in again} == {first["_member"]}


def test_repeated_recall_is_answered_when_its_member_has_left(
    members: Members, cluster: RecallCluster
) -> None:
    members.add(), members.add()
    first = cluster.recall("billing")
    next(member for member in members.members if member.id == first["_member"]).close()
    second = cluster.recall("billing")
    assert second["_success"]
    assert second["_member"] != first["_member"]


def test_busy_member_is_passed_over_and_nothing_of_it_recorded(
    members: Members, cluster: RecallCluster
) -> None:
    members.add(most_under_way=0), members.add()
    known(cluster, 2)
    answers = [cluster.recall(f"billing {n}") for n in range(30)]
    assert not any(answer["_refused"] for answer in answers)
    assert members.members[0].counts["busy"] > 0
    assert cluster.counts_of_tries["busy"] == members.members[0].counts["busy"]
    assert [len(records(manager)) for manager in members.managers] == [0, 30]


def test_recall_is_refused_as_one_process_does_when_all_are_busy(
    members: Members, cluster: RecallCluster
) -> None:
    members.add(most_under_way=0), members.add(most_under_way=0)
    known(cluster, 2)
    answers = [cluster.recall(f"when did billing {n} fail?") for n in range(10)]
    assert all(a["_refused"] and not a["_success"] and a["_retry_after_s"] > 0 for a in answers)
    assert all(a["_errors"]["own"].startswith("refused: ") for a in answers)
    assert len(members.records()) == 10
    assert all(record.refused for record in members.records())


def test_more_recalls_than_there_is_room_for_are_refused_in_time_and_recorded_once(
    members: Members, cluster: RecallCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "MOST_A_MEMBER", 4)
    ends = threading.Event()
    members.add(lambda query, k, deadline: ends.wait(WAIT) and [])
    set_config(members.managers[0], max_concurrent=4, overload_after_seconds=None)
    known(cluster, 1)

    async def main() -> list[dict[str, Any]]:
        with recorded_as("load"):
            asked = [asyncio.ensure_future(cluster.arecall(f"billing {n}", scope="s")) for n in range(300)]
        while sum(task.done() for task in asked) < 296:
            await asyncio.sleep(0.01)
        ends.set()
        return await asyncio.gather(*asked)

    answers = asyncio.run(main())
    refused = [answer for answer in answers if answer["_refused"]]
    assert len(refused) == 296
    assert all("the cluster is busy" in a["_errors"]["own"] and a["_retry_after_s"] > 0 for a in refused)
    records = members.records()
    assert len({record.query_id for record in records}) == len(records) == 300
    assert {a["_query_id"] for a in refused} == {r.query_id for r in records if r.refused}
    assert {record.source for record in records} == {"load"}


def test_refusal_is_an_answer_as_a_manager_gives_it_also_where_no_member_can_be_told(
    members: Members, cluster: RecallCluster
) -> None:
    members.add(most_under_way=0)
    by_member = cluster.recall("when did billing fail?")
    members.members[0].close()

    async def main() -> dict[str, Any]:
        request = RecallRequest("when did billing fail?", scope="s")
        envelope = wire.Envelope("q-1", time.time() + WAIT)
        return await cluster._dispatcher._refusals.refuse(request, envelope, "too much to do")

    answer = cluster._connection.run(main(), WAIT)
    assert answer.keys() == by_member.keys() - {"_member"}
    assert answer["_refused"]
    assert answer["_retry_after_s"] > 0
    assert {name: type(value) for name, value in answer.items() if name != "_config_version"} == {
        name: type(value) for name, value in by_member.items() if name not in ("_member", "_config_version")
    }


def test_recall_whose_member_is_gone_is_not_lost_although_the_other_one_is_busy(
    members: Members, cluster: RecallCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "HEDGE_FIRST_SECONDS", 0.05)
    hangs = threading.Event()
    members.add(lambda query, k, deadline: hangs.wait(2 * WAIT) and [])
    set_config(members.managers[0], timeout_seconds=2 * WAIT)
    known(cluster, 1)
    work = cluster._connection.submit(cluster._dispatcher.recall(RecallRequest("billing"), "live", None))
    until(lambda: members.members[0].under_way == 1)
    members.members[0].drain()
    members.add(most_under_way=0)
    known(cluster, 2)
    until(lambda: members.members[1].counts.get("busy", 0) >= 2)
    assert not work.done(), "the first one may answer yet"
    cluster._connection.loop.call_soon_threadsafe(cluster._fleet.lose, members.members[0].id)
    answer = work.result(WAIT)
    assert answer["_refused"]
    assert answer["_member"] == members.members[1].id
    hangs.set()


def test_third_member_is_tried_before_a_recall_is_refused(members: Members, cluster: RecallCluster) -> None:
    members.add(most_under_way=0), members.add(most_under_way=0), members.add()
    known(cluster, 3)
    assert not any(cluster.recall(f"billing {n}")["_refused"] for n in range(30))
    assert [len(records(manager)) for manager in members.managers] == [0, 0, 30]


def test_refusal_by_admission_is_tried_elsewhere_and_recorded_once(
    members: Members, cluster: RecallCluster
) -> None:
    def slow(query: Any, k: int, deadline: float) -> list[Any]:
        time.sleep(0.02)
        return []

    members.add(slow), members.add()
    set_config(members.managers[0], max_concurrent=1, overload_after_seconds=0.05, overload_wait_seconds=0.05)
    known(cluster, 2)

    async def ask() -> list[dict[str, Any]]:
        return await asyncio.gather(*[cluster.arecall(f"billing {n}") for n in range(300)])

    answers = asyncio.run(ask())
    assert members.members[0].counts["busy"] > 0
    assert not any(answer["_refused"] for answer in answers)
    until(lambda: len(members.records()) == len(answers))
    counted = Counter(record.query_id for record in members.records())
    assert set(counted.values()) == {1}
    assert set(counted) == {a["_query_id"] for a in answers}


def test_slow_answer_is_tried_elsewhere_and_recorded_once(members: Members, cluster: RecallCluster) -> None:
    held, slow = threading.Event(), threading.Event()

    def first_hangs(query: Any, k: int, deadline: float) -> list[Any]:
        if not slow.is_set():
            slow.set()
            held.wait(WAIT)
        return []

    members.add(first_hangs), members.add(first_hangs)
    known(cluster, 2)
    answer = cluster.recall("billing")
    assert answer["_success"]
    assert cluster.counts_of_tries["hedges_won"] == 1
    until(lambda: [r.query_id for r in members.records()] == [answer["_query_id"]])
    held.set()
    assert cluster.recall("billing once more")["_success"]
    assert [record.query_id for record in members.records()].count(answer["_query_id"]) == 1


def test_source_and_priority_come_along(members: Members, cluster: RecallCluster) -> None:
    seen: list[Any] = []

    def look(query: Any, k: int, deadline: float) -> list[Any]:
        seen.append((query.scope, dict(query.context)))
        return []

    members.add(look)
    with recorded_as("load:7"):
        cluster.recall("billing", {"priority": "background", "user": "ana"}, scope="größe\nα")
    assert seen == [("größe\nα", {"user": "ana", "priority": "background"})]
    assert [record.source for record in members.records()] == ["load:7"]


def test_recall_that_nobody_waits_for_any_more_is_not_begun(members: Members, url: str) -> None:
    member = members.add()
    connection = Connection(Address.parse(url), "a test")
    try:
        late = wire.Envelope("q-1", time.time() - 1)
        connection.run(connection.send(connection.address.recall, b'{"query": "billing"}', late.to_headers()))
        until(lambda: member.counts.get("late") == 1)
    finally:
        connection.close()
    assert members.records() == []


def test_any_client_of_nats_can_ask(members: Members, url: str) -> None:
    members.add(lambda query, k, deadline: [{"id": "a", "text": str(query)}])
    connection = Connection(Address.parse(url), "a test")

    async def ask(body: bytes) -> Any:
        return await connection.client.request(connection.address.recall, body, timeout=5)

    try:
        answer = wire.decode(connection.run(ask(b'{"query": "billing", "scope": "x"}')).data)
        broken = connection.run(ask(b"[1]"))
    finally:
        connection.close()
    assert [(item["id"], item["text"]) for item in answer["own"]] == [("a", "billing")]
    assert broken.headers["Nats-Service-Error-Code"] == "400"
    assert isinstance(wire.decode_error(broken.data), ValueError)
    assert len(members.records()) == 1


def test_member_that_drains_answers_what_it_has_and_takes_no_more(
    members: Members, cluster: RecallCluster
) -> None:
    held, begun = threading.Event(), threading.Event()

    def hang(query: Any, k: int, deadline: float) -> list[Any]:
        begun.set()
        held.wait(WAIT)
        return []

    leaving = members.add(hang)
    answers: list[dict[str, Any]] = []
    caller = threading.Thread(target=lambda: answers.append(cluster.recall("billing")))
    caller.start()
    assert begun.wait(WAIT)
    leaving.drain()
    members.add()
    assert all(cluster.recall(f"more {n}")["_member"] == members.members[1].id for n in range(10))
    held.set()
    caller.join(WAIT)
    assert answers[0]["_success"]


def test_answer_that_is_too_large_is_an_error_with_the_way_out(
    members: Members, cluster: RecallCluster
) -> None:
    members.add(lambda query, k, deadline: [{"id": str(n), "text": "x" * 900_000} for n in range(20)])
    with pytest.raises(ValueError, match="max_payload"):
        cluster.recall("billing", k=20)
    assert cluster.recall("billing", k=2)["_success"]


def test_what_json_lacks_becomes_text_on_its_way(members: Members, cluster: RecallCluster) -> None:
    members.add(
        lambda query, k, deadline: [{"id": "a", "text": "half \ud800", "of": 1 + 2j, "nan": float("nan")}]
    )
    [item] = cluster.recall("billing")["own"]
    assert (item["text"], item["of"], item["nan"]) == ("half ?", "(1+2j)", None)
    with pytest.raises(ValueError, match="wire"):
        cluster.recall("billing", {"user": object()})


def test_statistics_of_the_services_api_count_what_was_answered(
    members: Members, cluster: RecallCluster
) -> None:
    members.add()
    for n in range(5):
        cluster.recall(f"billing {n}")
    [member] = cluster.members()
    assert member.figures["answers"] == 5
    assert member.figures["busy"] == 0
    assert member.worker == members.managers[0].worker_id
    assert member.figures["cpu_s"] > 0
