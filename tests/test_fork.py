"""What rests before a fork and is made anew in the child, and what could not come to rest."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from athena_tuning import fork
from athena_tuning.recall.items import Item
from athena_tuning.recall.memory import Memory
from athena_tuning.store import StoreError, open_store
from tests.support.forked import forked


class Noting:
    def __init__(self, name: str, notes: list[str]) -> None:
        self.name, self.notes = name, notes
        fork.register(self)

    def rest_before_fork(self, until: float) -> None:
        self.notes.append(f"{self.name} rests")

    def go_on_after_fork(self) -> None:
        self.notes.append(f"{self.name} goes on")

    def renew_after_fork(self) -> None:
        self.notes.append(f"{self.name} is made anew")


def test_the_newest_rests_first_and_the_oldest_goes_on_first() -> None:
    notes: list[str] = []
    kept = [Noting(name, notes) for name in ("old", "new")]
    assert forked(lambda: notes) == ["new rests", "old rests", "old is made anew", "new is made anew"]
    assert notes == ["new rests", "old rests", "old goes on", "new goes on"]
    del kept
    notes.clear()
    forked(lambda: None)
    assert notes == [], "what nobody has any more is not told"


def test_one_that_fails_at_a_fork_keeps_no_other_from_being_told(caplog: pytest.LogCaptureFixture) -> None:
    notes: list[str] = []
    first = Noting("first", notes)

    class Failing(Noting):
        def rest_before_fork(self, until: float) -> None:
            raise OSError("no rest")

    last = Failing("last", notes)
    with caplog.at_level(logging.ERROR):
        assert forked(lambda: notes) == ["first rests", "first is made anew", "last is made anew"]
    assert "no rest" in caplog.text
    del first, last


def held_elsewhere(lock: Any) -> tuple[threading.Thread, threading.Event]:
    has, gives_back = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            has.set()
            assert gives_back.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert has.wait(30)
    return thread, gives_back


@pytest.mark.parametrize("kind", [threading.Lock, threading.RLock])
def test_a_lock_that_another_thread_has_is_free_in_the_child(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fork, "LONGEST_SECONDS", 0.05)
    lock = kind()
    held = fork.HeldLock(lock)
    thread, gives_back = held_elsewhere(lock)
    assert forked(lambda: lock.acquire(timeout=5))
    gives_back.set()
    thread.join()
    assert lock.acquire(timeout=5), "the parent's is given back by whoever has it"
    lock.release()
    del held


def test_a_fork_waits_until_nobody_is_inside_of_a_gate_and_lets_in_again() -> None:
    gate = fork.Gate()
    thread, leaves = held_elsewhere(gate)
    assert not gate.shut(0.0)
    went_in = threading.Event()

    def enter() -> None:
        with gate, gate:
            went_in.set()

    waits = threading.Thread(target=enter)
    waits.start()
    leaves.set()
    thread.join()
    assert gate.shut(1e9)
    assert not went_in.is_set()
    gate.open()
    waits.join(30)
    assert went_in.is_set()


NOTE = Item.from_dict({"id": "n1", "layer": "semantic", "text": "Ana owns billing"})


@pytest.mark.parametrize("path", [":memory:", "file"])
def test_a_memory_is_read_and_written_by_parent_and_child(path: str, tmp_path: Path) -> None:
    memory = Memory(path if path == ":memory:" else tmp_path / "m.db")
    memory.remember([NOTE])

    def work() -> int:
        memory.remember([Item.from_dict({"id": "n2", "layer": "semantic", "text": "Bo owns search"})])
        return memory.counts()["semantic"]

    assert forked(work) == 2
    assert memory.counts()["semantic"] == 2
    memory.remember([Item.from_dict({"id": "n3", "layer": "semantic", "text": "Cleo owns mail"})])
    assert forked(lambda: memory.counts()["semantic"]) == 3
    memory.close()


def test_a_child_that_ends_takes_the_parents_temporary_memory_not_along() -> None:
    memory = Memory(":memory:")
    if (pid := os.fork()) == 0:
        memory.close()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert memory.file.path.exists()
    assert memory.counts()["semantic"] == 0
    memory.close()
    assert not memory.file.path.parent.exists()


def test_what_was_in_use_when_the_process_forked_is_refused_in_words_in_the_child_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fork, "LONGEST_SECONDS", 0.05)
    store, memory = open_store(f"sqlite:///{tmp_path / 's.db'}"), Memory(tmp_path / "m.db")
    threads = [held_elsewhere(store._database._reader()), held_elsewhere(memory.file.write())]  # type: ignore[attr-defined]

    def work() -> list[str]:
        said = []
        for call in (store.config_set, store.change_token, memory.counts, lambda: memory.remember([NOTE])):
            with pytest.raises((StoreError, RuntimeError), match="when the process forked") as refused:
                call()
            said.append(str(refused.value))
        return said

    said = forked(work)
    assert all("open" in words and "anew in this process" in words for words in said)
    for thread, ends in threads:
        ends.set()
        thread.join()
    assert store.config_set().head == 0
    assert memory.counts()["semantic"] == 0
    store.close()
    memory.close()
