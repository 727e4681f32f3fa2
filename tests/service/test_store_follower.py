"""A dashboard beside a store follows what its managers write, and says when it cannot."""

from __future__ import annotations

from pathlib import Path

from athena_tuning.model import TuningConfig
from athena_tuning.recall import MemoryManager
from athena_tuning.service.store_follower import Tail
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.store import StoreError, open_store
from athena_tuning.testing.waiting import until
from tests.support.dashboard import OPERATOR


def test_a_manager_on_the_same_store_obeys_and_is_seen(memory: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    theirs, ours = open_store(url), open_store(url)
    with MemoryManager(memory, store=theirs) as manager:
        until(theirs.workers)
        watching = TuningService(ours, Tail(ours))
        at = watching.configs().default.version
        version = watching.apply(OPERATOR, TuningConfig(3), expected_version=at, reason="from outside")
        until(lambda: manager.configs.head == version.version)
        manager.recall("When was the last incident?")
        until(lambda: watching.tail.look() or watching.window.summary().count)
        assert watching.window.metrics[-1].config_version == version.version
        assert watching.standing().workers_alive == 1
        watching.close()
    theirs.close()


def test_a_store_that_fails_is_told_and_followed_again_later(tmp_path: Path) -> None:
    class Shaky(Tail):
        pass

    store = open_store("memory://")
    real, down = store.tail_metrics, True

    def flaky(*args: object, **more: object) -> object:
        if down:
            raise StoreError("the disk is full")
        return real(*args, **more)  # type: ignore[arg-type]

    store.tail_metrics = flaky  # type: ignore[method-assign, assignment]
    tail = Shaky(store)
    assert tail.look() == 0
    assert tail.problem == "the disk is full"
    down = False
    tail.look()
    assert tail.problem is None
    assert tail.caught_up
