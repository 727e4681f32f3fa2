"""A run in its own process does what a run here does, and its metrics reach the store."""

from __future__ import annotations

import pytest

from athena_tuning.load.run_handle import State
from athena_tuning.load.spec import LoadSpec
from athena_tuning.load.subprocess_run import SubprocessRun, is_heavy
from athena_tuning.recall import MemoryManager
from athena_tuning.samples.sample_memory import generate
from athena_tuning.store import open_store


@pytest.fixture
def place(tmp_path):
    with MemoryManager(tmp_path / "memory.db") as manager:
        manager.remember_many(list(generate())[:300])
    return tmp_path / "memory.db", f"sqlite:///{tmp_path / 'store.db'}"


def test_a_run_apart_finishes_and_its_recalls_are_in_the_store(place):
    run = SubprocessRun(*place, LoadSpec(rate_per_s=40, duration_s=0.5, seed=2)).start()
    assert run.wait(60)
    assert run.state is State.FINISHED
    summary = run.summary()
    assert summary.finished == summary.offered == run.progress().finished > 5
    assert summary.errors == 0
    with open_store(place[1]) as store:
        assert len(store.tail_metrics().records) == summary.finished
        assert [worker.worker_id for worker in store.workers()] == [f"load-{run.id}"]


def test_a_run_apart_stops_when_told_and_leaves_no_process(place):
    run = SubprocessRun(*place, LoadSpec(rate_per_s=5, duration_s=None)).start()
    run.pause()
    run.resume()
    run.stop()
    run.stop()
    assert run.state is State.STOPPED
    assert run.summary().state == "stopped"
    assert run._process.poll() is not None


def test_a_run_apart_that_cannot_work_fails_and_says_why(tmp_path, caplog):
    run = SubprocessRun(tmp_path, f"sqlite:///{tmp_path / 'store.db'}", LoadSpec(duration_s=1)).start()
    assert run.wait(60)
    assert run.state is State.FAILED
    assert run.failure
    assert run.id in caplog.text
    assert run.summary() is None


def test_a_run_apart_starts_once(tmp_path):
    run = SubprocessRun(tmp_path / "m.db", "memory://", LoadSpec())
    run.stop()
    with pytest.raises(RuntimeError, match="starts once"):
        run.start()


def test_heavy_is_a_high_rate_or_many_clients():
    assert is_heavy(LoadSpec(rate_per_s=200))
    assert is_heavy(LoadSpec(clients=16))
    assert not is_heavy(LoadSpec(rate_per_s=5))
    assert not is_heavy(LoadSpec(rate_per_s=200, clients=2))
