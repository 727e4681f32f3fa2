"""Load on a manager elsewhere: one takes the order, obeys it, tells how far it is, and leaves nothing on."""

from __future__ import annotations

import threading

import pytest

from athena_tuning.load import remote_run
from athena_tuning.load.remote_run import OrderTaker, RemoteRun, steer
from athena_tuning.load.run import LoadRun
from athena_tuning.load.run_handle import State
from athena_tuning.load.spec import LoadSpec
from athena_tuning.recall import MemoryManager
from athena_tuning.store import StoreError, open_store
from tests.support.clock import Clock


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
def store(url):
    """The store as the one who orders has it."""
    with open_store(url) as opened:
        yield opened


@pytest.fixture
def manager(tmp_path, url):
    with open_store(url) as own, MemoryManager(tmp_path / "memory.db", store=own, worker_id="there") as there:
        there.remember({"id": "n1", "layer": "episodic", "text": "Ana fixed the login bug"})
        yield there


def order(store, spec, **options):
    """An ordered run whose waits only let other threads go on."""
    tick = threading.Event()
    return RemoteRun(store, spec, sleep=lambda seconds: tick.wait(0.01), **options)


def looking(taker):
    """Let a taker look for orders all the time; returns what ends it."""
    over = threading.Event()

    def look():
        while not over.wait(0.01):
            taker.look()

    thread = threading.Thread(target=look)
    thread.start()

    def end():
        over.set()
        thread.join()
        taker.close()

    return end


def test_a_manager_elsewhere_asks_itself_and_the_summary_comes_back(store, manager):
    end = looking(OrderTaker(manager))
    run = order(store, LoadSpec(rate_per_s=100, duration_s=0.5, seed=2)).start()
    assert run.wait(60)
    end()
    came = run.summary()
    assert (run.state, run.worker, came.id) == (State.FINISHED, "there", run.id)
    assert came.finished == came.offered == run.progress().finished > 20
    assert manager.status().recalls == came.finished
    assert run.progress().share > 0.5


def test_a_run_that_ends_while_it_is_reported_is_reported_with_its_summary(store, manager, monkeypatch):
    told = LoadRun.progress

    def told_at_the_end(run):
        run.wait()
        return told(run)

    monkeypatch.setattr(LoadRun, "progress", told_at_the_end)
    run = order(store, LoadSpec(rate_per_s=100, duration_s=0.2, seed=2)).start()
    taker = OrderTaker(manager)
    taker.look()
    assert (run.state, run.summary().id) == (State.FINISHED, run.id)
    taker.close()


def test_an_order_is_paused_resumed_and_stopped_from_anywhere(store, manager):
    taker = OrderTaker(manager)
    run = order(store, LoadSpec(rate_per_s=50, duration_s=3600)).start()
    taker.look()
    assert run.progress().state is State.RUNNING
    run.pause()
    taker.look()
    assert run.progress().state is State.PAUSED
    steer(store, run.id, "run")
    taker.look()
    assert run.progress().state is State.RUNNING
    end = looking(taker)
    run.stop()
    run.stop()
    end()
    assert run.state is State.STOPPED
    assert run.summary().state == "stopped"
    assert not [t for t in threading.enumerate() if t.name == f"load-{run.id}"]


def test_of_several_managers_one_takes_an_order_and_only_who_is_named(tmp_path, url, store, manager):
    with open_store(url) as own, MemoryManager(":memory:", store=own, worker_id="other") as other:
        takers = [OrderTaker(manager), OrderTaker(other)]
        anybody = order(store, LoadSpec(rate_per_s=50, duration_s=3600)).start()
        for taker in takers:
            taker.look()
        assert [taker._run is not None for taker in takers] == [True, False]
        named = order(store, LoadSpec(rate_per_s=50, duration_s=3600), worker="other").start()
        for taker in takers:
            taker.look()
        assert (anybody.progress().state, named.progress().state) == (State.RUNNING, State.RUNNING)
        assert (anybody.worker, named.worker) == ("there", "other")
        for taker in takers:
            taker.close()
        assert (anybody.state, named.state) == (State.STOPPED, State.STOPPED)


def test_a_manager_that_closes_stops_its_load_and_says_so(store, manager):
    taker = OrderTaker(manager).start()
    run = order(store, LoadSpec(rate_per_s=50, duration_s=3600)).start()
    while run.progress().finished == 0:
        assert run.state is State.RUNNING
    taker.close()
    taker.close()
    assert run.state is State.STOPPED
    assert run.summary().finished > 0


def test_an_order_that_nobody_takes_fails_and_is_not_taken_later(store, manager):
    clock = Clock(0.0)
    run = order(store, LoadSpec(duration_s=5), clock=clock).start()
    clock.now = remote_run.TAKEN_WITHIN_S + 1
    assert run.state is State.FAILED
    assert "any manager that takes orders was silent for 11 s" in run.failure
    OrderTaker(manager).look()
    assert manager.status().recalls == 0


def test_a_manager_that_falls_silent_is_named(store, manager):
    clock = Clock(0.0)
    run = order(store, LoadSpec(duration_s=3600), clock=clock).start()
    taker = OrderTaker(manager)
    taker.look()
    assert run.state is State.RUNNING
    clock.now = remote_run.SILENT_S + 1
    assert run.state is State.FAILED
    assert "the manager there was silent for 16 s" in run.failure
    taker.look()
    assert taker._run is None  # it was called off


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (
            LoadSpec("replay", duration_s=5, replay_of="/etc/passwd"),
            "no recording '/etc/passwd': name one of",
        ),
        (LoadSpec("replay", duration_s=5, replay_of="imported"), "nothing to replay"),
        (LoadSpec("bursty", rate_per_s=5, duration_s=60, dispersion=100), "needs a run of at least 300 s"),
    ],
)
def test_what_the_manager_cannot_do_comes_back_as_the_reason(store, manager, spec, reason):
    run = order(store, spec).start()
    OrderTaker(manager).look()
    assert run.state is State.FAILED
    assert reason in run.failure
    assert run.summary() is None


def test_nonsense_among_the_orders_is_passed_over(store, manager, caplog):
    for name, text in (("x", "no json"), ("y", '{"colour": "red"}'), ("z", None)):
        store.post(remote_run.ORDERS, name, "")
        if text:
            store.post(f"load run {name}", "order", text)
    run = order(store, LoadSpec(rate_per_s=50, duration_s=3600)).start()
    taker = OrderTaker(manager)
    taker.look()
    assert run.progress().state is State.RUNNING
    assert all(f"load order {name} cannot be read" in caplog.text for name in "xyz")
    taker.close()


def test_a_load_without_an_end_is_not_ordered(store):
    with pytest.raises(ValueError, match="needs an end"):
        RemoteRun(store, LoadSpec(duration_s=None))


def test_a_store_that_fails_is_asked_again(store, manager, monkeypatch):
    run = order(store, LoadSpec(rate_per_s=50, duration_s=3600)).start()
    taker = OrderTaker(manager)

    def down(*_, **__):
        raise StoreError("down")

    with monkeypatch.context() as broken:
        broken.setattr(type(store), "posted", down)
        taker.look()
        assert run.progress().state is State.RUNNING
    taker.look()
    assert taker._run is not None
    taker.close()
    assert run.state is State.STOPPED


def test_who_steers_a_run_that_nobody_ordered_is_told(store):
    with pytest.raises(KeyError):
        steer(store, "nobody", "stop")
