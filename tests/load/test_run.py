"""A load run asks when it should, counts from when it should have, and leaves nothing behind."""

from __future__ import annotations

import threading

import pytest

from athena_tuning.load.run import LoadRun
from athena_tuning.load.run_handle import State
from athena_tuning.load.spec import LoadSpec
from athena_tuning.model import QueryMetrics

ASK = {"factual": ["Who owns it?"], "temporal": ["When?"]}
MIX = {"factual": 1.0}


class VirtualTime:
    """A clock that a wait moves: nothing waits for real."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def wait(self, condition, seconds):
        assert seconds is not None
        self.now += seconds


class Manager:
    """Answers after ``takes`` seconds of virtual time."""

    def __init__(self, time, takes=0.0):
        self.time, self.takes, self.asked = time, takes, []

    def recall(self, query, *, k):
        self.asked.append((self.time.now, query))
        self.time.now += self.takes
        return {"_success": True, "_cache_hit": len(self.asked) % 2 == 0, "_config_version": 3}


def recorded(*times):
    return [
        QueryMetrics(f"q{t}", f"at {t}", "factual", 1000.0 + t, None, None, None, None, [], {}, None)
        for t in times
    ]


def virtual(manager, spec, **options):
    time = manager.time
    return LoadRun(
        manager,
        spec,
        questions=ASK,
        max_outstanding=1,
        clock=time,
        wall=lambda: 5.0,
        wait=time.wait,
        **options,
    )


def test_recalls_are_asked_at_their_time():
    manager = Manager(VirtualTime())
    run = virtual(manager, LoadSpec("replay", duration_s=None), recorded=recorded(0, 2, 2.5, 7))
    run.start().wait()
    assert [at for at, _ in manager.asked] == pytest.approx([100, 102, 102.5, 107])
    assert [text for _, text in manager.asked] == ["at 0", "at 2", "at 2.5", "at 7"]
    assert run.state is State.FINISHED


def test_latency_counts_from_the_intended_start():
    manager = Manager(VirtualTime(), takes=2.0)
    run = virtual(manager, LoadSpec("replay", duration_s=None), recorded=recorded(0, 1, 2))
    run.start().wait()
    summary = run.summary()
    assert summary.mean_ms == pytest.approx((2000 + 3000 + 4000) / 3)
    assert summary.service_p99_ms == pytest.approx(2000, rel=0.02)
    assert summary.late_p99_ms == pytest.approx(2000, rel=0.02)


def test_a_replay_at_twice_the_speed_takes_half_the_time():
    manager = Manager(VirtualTime())
    run = virtual(manager, LoadSpec("replay", duration_s=None, speed=2.0), recorded=recorded(0, 4))
    run.start().wait()
    assert [at for at, _ in manager.asked] == [100, 102]
    assert run.progress().share == 1.0


def test_a_replay_asks_a_question_of_the_type_where_the_recording_has_no_text():
    manager = Manager(VirtualTime())
    bare = [m._replace(query_text="") for m in recorded(0, 1, 2)]
    bare[2] = bare[2]._replace(query_type="unknown")
    virtual(manager, LoadSpec("replay", duration_s=None), recorded=bare).start().wait()
    texts = [text for _, text in manager.asked]
    assert all(text.startswith("Who owns it?") for text in texts[:2])
    assert texts[2].startswith(("Who owns it?", "When?"))


def test_a_summary_tells_what_the_answers_told():
    manager = Manager(VirtualTime())
    run = virtual(manager, LoadSpec("replay", duration_s=None), recorded=recorded(*range(10)))
    run.start().wait()
    summary = run.summary()
    assert (summary.offered, summary.finished, summary.errors, summary.partials) == (10, 10, 0, 0)
    assert (summary.cache_hits, summary.cache_known) == (5, 10)
    assert summary.config_versions == {3: 10}
    assert (summary.started, summary.elapsed_s) == (5.0, pytest.approx(9.0))
    assert summary.offered_per_s == pytest.approx(10 / 9)


def test_clients_of_a_closed_loop_ask_after_their_answer_and_a_pause():
    manager = Manager(VirtualTime(), takes=0.5)
    run = virtual(manager, LoadSpec(clients=1, think_s=0.5, duration_s=4.0, mix=MIX))
    run.start().wait()
    assert [at for at, _ in manager.asked] == pytest.approx([100, 101, 102, 103])


class Raises:
    def recall(self, query, *, k):
        raise ConnectionError("gone")


class Fails:
    def recall(self, query, *, k):
        return {"_success": False, "_partial": True}


@pytest.mark.parametrize(("manager", "name"), [(Raises(), "ConnectionError"), (Fails(), "no layer answered")])
def test_failures_are_results_with_a_name(manager, name):
    run = LoadRun(manager, LoadSpec(rate_per_s=400, duration_s=0.1, mix=MIX, seed=1), questions=ASK)
    run.start().wait()
    summary = run.summary()
    assert summary.errors == summary.finished == summary.offered > 10
    assert summary.errors_by_name == {name: summary.errors}
    assert summary.achieved_per_s == 0


class Blocks:
    """Answers when it is let go, and tells that it was asked."""

    def __init__(self):
        self.asked, self.go = threading.Semaphore(0), threading.Event()

    def recall(self, query, *, k):
        self.asked.release()
        assert self.go.wait(30)
        return {"_success": True}


def threads_of(run):
    return [thread for thread in threading.enumerate() if thread.name == f"load-{run.id}"]


def test_an_open_loop_goes_on_asking_while_answers_are_missing():
    manager = Blocks()
    run = LoadRun(manager, LoadSpec(rate_per_s=500, duration_s=None, mix=MIX), questions=ASK).start()
    for _ in range(20):
        assert manager.asked.acquire(timeout=30)
    assert run.progress().in_flight >= 20
    manager.go.set()
    run.stop()
    assert threads_of(run) == []


def test_a_closed_loop_has_no_more_under_way_than_clients():
    manager = Blocks()
    run = LoadRun(manager, LoadSpec(clients=3, duration_s=None, mix=MIX), questions=ASK).start()
    for _ in range(3):
        assert manager.asked.acquire(timeout=30)
    assert run.progress().in_flight == 3
    assert not manager.asked.acquire(timeout=0.05)
    manager.go.set()
    run.stop()


def test_stop_waits_for_what_is_under_way_and_may_come_twice():
    manager = Blocks()
    run = LoadRun(manager, LoadSpec(rate_per_s=200, duration_s=None, mix=MIX), questions=ASK).start()
    assert manager.asked.acquire(timeout=30)
    stopper = threading.Thread(target=run.stop)
    stopper.start()
    assert not run.wait(0.01)
    manager.go.set()
    stopper.join(30)
    run.stop()
    assert run.state is State.STOPPED
    assert threads_of(run) == []
    summary = run.summary()
    assert summary.finished == summary.offered
    assert run.progress().in_flight == 0


def test_stop_ends_a_run_that_waits_for_a_far_arrival_or_is_paused():
    for pause in (False, True):
        run = LoadRun(Fails(), LoadSpec("replay", duration_s=None), recorded=recorded(0, 10_000)).start()
        if pause:
            run.pause()
        run.stop()
        assert threads_of(run) == []


def test_a_load_that_cannot_be_made_is_refused_before_the_start():
    spec = LoadSpec("bursty", rate_per_s=5, duration_s=60, dispersion=100, window_s=60, mix=MIX)
    with pytest.raises(ValueError, match="needs a run of at least 300 s"):
        LoadRun(Fails(), spec, questions=ASK)


def test_a_run_whose_load_breaks_says_that_it_failed(caplog):
    class Broken:
        def recall(self, query, *, k):
            return {"_config_version": "not a number"}

    run = LoadRun(Broken(), LoadSpec(rate_per_s=50, duration_s=None, mix=MIX), questions=ASK).start()
    run.wait()
    assert run.state is State.FAILED
    assert threads_of(run) == []
    assert run.id in caplog.text


def test_a_run_that_was_stopped_before_its_start_does_not_start():
    run = LoadRun(Fails(), LoadSpec(mix=MIX), questions=ASK)
    run.stop()
    with pytest.raises(RuntimeError, match="starts once"):
        run.start()


class ManualTime:
    """A clock that the test moves; waiting threads look again when told."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_a_pause_moves_everything_that_is_still_due():
    time, asked = ManualTime(), []
    answered = threading.Semaphore(0)

    class Notes:
        def recall(self, query, *, k):
            asked.append((time.now, query))
            answered.release()
            return {}

    run = LoadRun(
        Notes(),
        LoadSpec("replay", duration_s=None),
        recorded=recorded(0, 10),
        clock=time,
        wait=lambda condition, seconds: condition.wait(0.005),
        max_outstanding=1,
    ).start()
    assert answered.acquire(timeout=30)
    time.now = 4.0
    run.pause()
    assert run.state is State.PAUSED
    time.now = 104.0
    assert run.progress().elapsed_s == 4.0
    run.resume()
    assert not answered.acquire(timeout=0.05)
    time.now = 110.0
    assert answered.acquire(timeout=30)
    run.wait()
    assert asked == [(0.0, "at 0"), (110.0, "at 10")]
    assert run.summary().mean_ms < 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pattern": "wild"}, "pattern"),
        ({"rate_per_s": 0}, "rate_per_s"),
        ({"rate_per_s": float("nan")}, "rate_per_s"),
        ({"duration_s": -1}, "duration_s"),
        ({"rate_per_s": 1e5, "duration_s": 1e6}, "above 20,000,000"),
        ({"clients": 0}, "clients"),
        ({"mix": {"factual": -1.0}}, "factual"),
        ({"mix": {}}, "at least one type"),
        ({"repetition": 9}, "repetition"),
        ({"cv": 0}, "cv"),
        ({"k": 0}, "k must"),
        ({"think_s": -1}, "think_s"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused_by_name(values, message):
    with pytest.raises(ValueError, match=message):
        LoadSpec(**values)


def test_a_spec_survives_json():
    spec = LoadSpec("bursty", mix={"factual": 2.0}, dispersion=80, seed=4)
    assert LoadSpec.from_dict(spec.to_dict()) == spec
    with pytest.raises(ValueError, match="unknown load fields: colour"):
        LoadSpec.from_dict({"colour": 1})


def test_a_replay_of_nothing_and_a_type_without_questions_are_refused():
    with pytest.raises(ValueError, match="recorded"):
        LoadRun(Fails(), LoadSpec("replay"))
    with pytest.raises(ValueError, match="planning"):
        LoadRun(Fails(), LoadSpec(mix={"planning": 1.0}), questions=ASK)


class Remembering:
    """Answers from a cache that it counts the emptyings of."""

    def __init__(self) -> None:
        self.cleared: list[int] = []
        self.asked = 0

    def recall(self, query: str, *, k: int) -> dict[str, object]:
        self.asked += 1
        return {"_success": True}

    def clear_cache(self) -> None:
        self.cleared.append(self.asked)


def test_a_cold_run_empties_the_cache_before_its_first_recall() -> None:
    manager = Remembering()
    run = LoadRun(manager, LoadSpec(rate_per_s=200, duration_s=0.05, seed=1, cold=True)).start()
    assert run.wait(10)
    assert manager.cleared == [0]
    assert manager.asked > 0


def test_a_cold_run_on_what_cannot_be_emptied_is_refused() -> None:
    class Plain:
        def recall(self, query: str, *, k: int) -> dict[str, object]:
            return {}

    with pytest.raises(ValueError, match="clear_cache"):
        LoadRun(Plain(), LoadSpec(cold=True))
