"""Workers that share one limit through a store: the same on every store, without a config version."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from athena_tuning.control.external import Control
from athena_tuning.control.limit_share import LimitShare, told_demands, told_shares
from athena_tuning.control.limit_shares import LEASE_SECONDS
from athena_tuning.model import LimitScope, Mode, TuningConfig
from athena_tuning.recall import MemoryManager
from athena_tuning.store import ConfigChange, MemoryStore, Store, StoreError, open_store
from athena_tuning.testing.clock import Clock
from athena_tuning.testing.waiting import until

FLEET = TuningConfig(8, limit_scope=LimitScope.FLEET)
LOOK = 0.04
PROGRAM = """
import sys, threading
from athena_tuning import MemoryManager, open_store
with MemoryManager(":memory:", store=open_store(sys.argv[1]), worker_id=sys.argv[2]) as manager:
    print("ready", flush=True)
    threading.Event().wait()
"""


class Fleet:
    """Workers whose load a test sets, looking in turn every 40 ms of a clock that it moves."""

    def __init__(self, store: Store, *names: str) -> None:
        self.clock, self.store, self.config = Clock(100.0), store, FLEET
        self.load = dict.fromkeys(names, 0)
        self.taken = dict.fromkeys(names, 0)
        self.workers = {name: self.worker(name) for name in names}

    def worker(self, name: str) -> LimitShare:
        def take() -> None:
            self.taken[name] += 1

        self.taken.setdefault(name, 0)
        return LimitShare(
            self.store,
            name,
            lambda: self.config,
            lambda: self.loaded(name),
            take,
            self.clock,
        )

    @property
    def shares(self) -> dict[str, int]:
        return {name: worker.slots(self.config) for name, worker in self.workers.items()}

    def run(self, seconds: float) -> None:
        """Let them look; each runs as much of its load as its share allows."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.clock.now += LOOK
            for worker in self.workers.values():
                worker.look()

    def loaded(self, name: str) -> tuple[int, int]:
        running = min(self.load[name], self.workers[name].slots(self.config))
        return running, self.load[name] - running


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind."""
    if request.param == "memory":
        return MemoryStore()
    if request.param == "sqlite":
        return open_store(f"sqlite:///{tmp_path / 'store.db'}")
    opened: Store = request.getfixturevalue("postgres")()
    return opened


def test_one_worker_has_the_whole_limit_and_several_share_it(store: Store) -> None:
    fleet = Fleet(store, "a")
    fleet.load["a"] = 20
    fleet.run(0.2)
    assert fleet.shares == {"a": 8}
    fleet.load["b"] = 20
    fleet.workers["b"] = fleet.worker("b")
    fleet.run(1.0)
    assert fleet.shares == {"a": 4, "b": 4}


def test_idle_slots_are_lent_within_250_ms_and_come_back_within_250_ms(store: Store) -> None:
    fleet = Fleet(store, *"abcd")
    fleet.load |= dict.fromkeys("abcd", 20)
    fleet.run(2.0)
    assert fleet.shares == dict.fromkeys("abcd", 2)
    fleet.load |= dict.fromkeys("abd", 0)
    fleet.run(0.25)
    assert fleet.shares["c"] >= 5
    fleet.run(1.0)
    assert fleet.shares["c"] == 8
    fleet.load["a"] = 20
    fleet.run(0.25)
    assert fleet.shares["a"] >= 3
    fleet.run(0.5)
    assert (fleet.shares["a"], fleet.shares["c"]) == (4, 4)


def test_the_last_share_is_kept_while_the_store_is_down() -> None:
    fleet = Fleet(MemoryStore(), "a", "b")
    fleet.load |= {"a": 9, "b": 9}
    fleet.run(1.0)
    assert fleet.shares == {"a": 4, "b": 4}
    fleet.store.close()
    for _ in range(400):
        fleet.clock.now += LOOK
        for worker in fleet.workers.values():
            with pytest.raises(StoreError):
                worker.look()
    assert fleet.shares == {"a": 4, "b": 4}


def test_a_worker_that_dies_gives_its_share_back_within_the_lease_and_one_that_ends_at_once(
    store: Store,
) -> None:
    fleet = Fleet(store, *"abc")
    fleet.load |= dict.fromkeys("abc", 20)
    fleet.run(2.0)
    del fleet.workers["c"]
    fleet.run(LEASE_SECONDS - 1.5)
    assert sum(fleet.shares.values()) < 7
    fleet.run(2.0)
    assert fleet.shares == {"a": 4, "b": 4}
    fleet.workers.pop("b").end()
    fleet.run(0.25)
    assert fleet.shares == {"a": 8}


def test_when_the_worker_that_shares_out_dies_another_goes_on_from_what_was_told() -> None:
    clock = Clock(100.0)
    fleet = Fleet(MemoryStore(monotonic=clock), *"abc")
    fleet.clock = clock
    fleet.workers = {name: fleet.worker(name) for name in "abc"}
    fleet.load |= dict.fromkeys("abc", 20)
    fleet.run(1.0)
    assert fleet.workers["a"].leadership.held is not None
    del fleet.workers["a"]
    fleet.run(LEASE_SECONDS + 2.0)
    assert fleet.workers["b"].leadership.held or fleet.workers["c"].leadership.held
    fleet.run(LEASE_SECONDS)
    assert fleet.shares == {"b": 4, "c": 4}


def test_a_lost_message_is_told_again() -> None:
    fleet = Fleet(MemoryStore(), "a", "b")
    fleet.load |= dict.fromkeys("ab", 20)
    fleet.run(1.0)
    fleet.store.post("limit shares", "fleet", "{}")
    fleet.run(0.1)
    assert told_shares(fleet.store).by_worker == {"a": 4, "b": 4}
    fleet.store.post("limit demands", "c", "no demand at all")
    assert set(told_demands(fleet.store)) == {"a", "b"}
    fleet.run(0.1)


def test_little_is_written_while_nothing_changes() -> None:
    fleet = Fleet(MemoryStore(), "a", "b")
    fleet.run(1.0)
    posts, post = [], fleet.store.post
    fleet.store.post = lambda *told: (posts.append(told), post(*told))  # type: ignore[method-assign,assignment]
    fleet.run(10.0)
    assert len(posts) <= 2 * 11


def test_in_scope_manager_each_has_the_limit_and_nothing_is_written() -> None:
    fleet = Fleet(MemoryStore(), "a", "b")
    fleet.config = TuningConfig(8)
    fleet.workers["a"].look()
    assert fleet.shares == {"a": 8, "b": 8}
    assert not told_demands(fleet.store)
    fleet.config = FLEET
    fleet.load |= dict.fromkeys("ab", 20)
    fleet.run(1.0)
    assert fleet.shares == {"a": 4, "b": 4}
    taken = fleet.taken["a"]
    fleet.config = TuningConfig(8)
    fleet.workers["a"].look()
    assert fleet.shares["a"] == 8
    assert fleet.taken["a"] == taken + 1
    assert told_demands(fleet.store)["a"].gone


def test_managers_obey_their_shares_and_no_config_version_is_written(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with open_store(url) as store:
        store.apply_config(ConfigChange(FLEET, expected_version=0, actor="me", reason="one backend"))
        with MemoryManager(":memory:", store=store, worker_id="one", mode=Mode.PINNED) as one:
            until(lambda: one.limit == 8)
            second = [sys.executable, "-c", PROGRAM, url, "two"]
            with subprocess.Popen(second, stdout=subprocess.PIPE, text=True) as two:
                assert two.stdout is not None
                assert two.stdout.readline() == "ready\n"
                until(lambda: told_shares(store).by_worker == {"one": 8, "two": 8})
                two.kill()
            until(lambda: told_shares(store).by_worker == {"one": 8})
            one.apply_config(
                TuningConfig(6, limit_scope=LimitScope.FLEET), expected_version=1, actor="me", reason="less"
            )
            assert one.limit == 6
        assert [version.version for version in store.config_history()] == [2, 1]


def test_a_system_of_ones_own_is_told_its_share() -> None:
    store = MemoryStore()
    store.apply_config(ConfigChange(FLEET, expected_version=0, actor="me", reason="one backend"))
    with Control(store, worker_id="one") as one, Control(store, worker_id="two") as two:
        told: list[int] = []
        one.on_change(lambda config: told.append(config.max_concurrent))
        until(lambda: one.current_config().max_concurrent == 4 == two.current_config().max_concurrent)
        until(lambda: bool(told) and told[-1] == 4)
