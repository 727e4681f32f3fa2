from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from athena_tuning.interchange import Import
from athena_tuning.load.fast_forward import mix_of
from athena_tuning.load.run_handle import State
from athena_tuning.load.spec import LoadSpec
from athena_tuning.load.whatif_run import Question
from athena_tuning.model import ConfigSet, Mode, Objective, TuningConfig, TuningStrategy
from athena_tuning.recall import MemoryManager
from athena_tuning.samples.sample_workloads import list_samples, load_records
from athena_tuning.service import window_reads
from athena_tuning.service.config_service import ConfigService
from athena_tuning.service.forecasts import MOST_WAITING, Forecasts
from athena_tuning.service.read_service import NOW
from athena_tuning.service.roles import Actor, NotAllowed, Role, actor_from
from athena_tuning.service.store_follower import Tail
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.service.view import view_of
from athena_tuning.store import ConfigConflict, StoreError, open_store
from athena_tuning.testing.waiting import until
from tests.support.dashboard import OPERATOR, VIEWER, fill, told

WRITES: dict[str, Callable[[TuningService, Actor], object]] = {
    "apply": lambda s, a: s.apply(a, TuningConfig(), expected_version=0, reason="x"),
    "switch_strategy": lambda s, a: s.switch_strategy(a, TuningStrategy.COST, expected_version=0, reason="x"),
    "set_mode": lambda s, a: s.set_mode(a, Mode.AUTO, expected_version=0, reason="x"),
    "roll_back": lambda s, a: s.roll_back(a, 1, expected_version=0, reason="x"),
    "undo": lambda s, a: s.undo(a, expected_version=0),
    "annotate": lambda s, a: s.annotate(a, "x"),
    "put_welcome_away": lambda s, a: s.put_welcome_away(a),
    "promise": lambda s, a: s.promise(a, Objective(p99_ms=250)),
    "start_load": lambda s, a: s.start_load(a, LoadSpec(duration_s=1)),
    "stop_load": lambda s, a: s.stop_load(a),
    "pause_load": lambda s, a: s.pause_load(a),
    "resume_load": lambda s, a: s.resume_load(a),
    "end_exception": lambda s, a: s.end_exception(a, "meta", expected_version=0, reason="x"),
    "set_demo": lambda s, a: s.set_demo(a, True),
    "take_sample": lambda s, a: s.take_sample(a, "fast"),
    "fast_forward": lambda s, a: s.fast_forward(a, LoadSpec()),
    "import_file": lambda s, a: s.import_file(a, Import(list_samples()[0].path)),
    "remove_source": lambda s, a: s.remove_source(a, "sample:x"),
    "recall": lambda s, a: s.recall(a, "what failed?"),
    "give_feedback": lambda s, a: s.give_feedback(a, "q1", 1.0),
}


def test_no_write_of_the_service_is_missing_here_and_each_asks_who_writes() -> None:
    both = {**vars(ConfigService), **vars(TuningService)}
    own = {name: method for name, method in both.items() if not name.startswith("_")}
    writes = {name for name in own if name not in {"open", "close"}}
    assert writes == set(WRITES)
    for name in writes:
        assert list(inspect.signature(own[name]).parameters)[1] == "actor", name


@pytest.mark.parametrize("write", WRITES)
def test_a_viewer_writes_nothing(service: TuningService, write: str) -> None:
    if write in {"roll_back", "undo"}:
        for limit in (3, 4):
            at = service.configs().default.version
            service.apply(OPERATOR, TuningConfig(limit), expected_version=at, reason="before")
    before = (service.configs(), len(service.history()), service.store.annotations())
    with pytest.raises(NotAllowed):
        WRITES[write](service, VIEWER)
    assert (service.configs(), len(service.history()), service.store.annotations()) == before
    assert service.embedded is not None
    assert service.loads.newest is None
    assert not service.embedded.demo_is_on
    assert service.embedded.manager.status().recalls == 0


def test_the_next_recall_runs_what_was_applied(service: TuningService) -> None:
    wanted = TuningConfig(max_concurrent=3, enable_cache=False)
    version = service.apply(OPERATOR, wanted, expected_version=0, reason="try three")
    answer = service.recall(OPERATOR, "Which service uses postgres-ledger?")
    assert answer["_config_version"] == version.version == service.standing().version
    again = service.recall(OPERATOR, "Which service uses postgres-ledger?")
    assert again["_cache_hit"] is False
    assert (version.author, version.reason) == ("olga", "try three")


def test_a_write_on_top_of_an_old_version_is_refused_with_both_sides(service: TuningService) -> None:
    service.apply(OPERATOR, TuningConfig(7), expected_version=0, reason="first")
    with pytest.raises(ConfigConflict) as refused:
        service.apply(OPERATOR, TuningConfig(9), expected_version=0, reason="second")
    assert refused.value.current is not None
    assert (refused.value.current.config.max_concurrent, refused.value.proposed.max_concurrent) == (7, 9)
    assert service.configs().default.config.max_concurrent == 7


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501])
def test_a_write_needs_a_reason_of_sensible_length(service: TuningService, reason: str) -> None:
    with pytest.raises(ValueError, match="reason"):
        service.apply(OPERATOR, TuningConfig(7), expected_version=0, reason=reason)


def without_tasks(service: TuningService) -> None:
    """Evidence that only the rules conclude from, and under each strategy something else."""
    records = load_records("fast", ending_at=service.now - 1)[-500:]
    service.store.append_metrics("other", 1, [m._replace(tasks=(), source="live") for m in records])
    service.tail.look()
    told(service, 500)


def test_switching_the_strategy_brings_its_values_and_keeps_pinned_ones(service: TuningService) -> None:
    without_tasks(service)
    pinned = service.apply(
        OPERATOR,
        TuningConfig(timeout_seconds=9.0),
        expected_version=0,
        reason="mine",
        scope="meta",
        mode=Mode.PINNED,
    )
    proposed = told(service, 500).by_strategy[TuningStrategy.THROUGHPUT].decision.after
    at = service.configs().default.version
    version, _ = service.switch_strategy(
        OPERATOR, TuningStrategy.THROUGHPUT, expected_version=at, reason="more"
    )
    assert version.config.strategy is TuningStrategy.THROUGHPUT
    assert version.config.max_concurrent > 5
    assert version.config == proposed
    own = service.configs().by_type["meta"]
    assert own.config == replace(pinned.config, strategy=TuningStrategy.THROUGHPUT)


def test_what_was_seen_before_a_switch_is_what_is_written(service: TuningService) -> None:
    fill(service, "fast")
    seen = replace(service.under_strategy(TuningStrategy.COST, service.configs().default), max_concurrent=3)
    [version] = service.switch_strategy(
        OPERATOR, TuningStrategy.COST, expected_version=0, reason="cheap", config=seen
    )
    assert version.config == seen
    assert version.config.strategy is TuningStrategy.COST


def test_each_strategy_would_set_something_else_on_the_same_evidence(service: TuningService) -> None:
    without_tasks(service)
    chosen = {s: p.decision.after for s, p in told(service, 500).by_strategy.items()}
    assert len({(c.max_concurrent, c.timeout_seconds) for c in chosen.values()}) == 4


def test_undo_brings_back_values_and_mode(service: TuningService) -> None:
    service.apply(OPERATOR, TuningConfig(4), expected_version=0, reason="a", mode=Mode.PINNED)
    at = service.configs().default.version
    service.apply(OPERATOR, TuningConfig(8), expected_version=at, reason="b", mode=Mode.AUTO)
    [undone] = service.undo(OPERATOR, expected_version=service.configs().default.version)
    assert (undone.config.max_concurrent, undone.mode, undone.restores) == (4, Mode.PINNED, at)


def test_undo_of_an_undo_goes_forward_again_and_is_called_redo(service: TuningService) -> None:
    assert service.undo_reason() is None
    for limit in (4, 8):
        at = service.configs().default.version
        service.apply(OPERATOR, TuningConfig(limit), expected_version=at, reason="x")
    assert service.undo_reason() == "undo of version 2: x"
    for expected in (4, 8):
        at = service.configs().default.version
        assert service.undo(OPERATOR, expected_version=at)[0].config.max_concurrent == expected


def test_a_switch_that_one_scope_refuses_changes_nothing(
    service: TuningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.apply(OPERATOR, TuningConfig(4), expected_version=0, reason="x", scope="meta")
    stale = service.configs()
    service.apply(OPERATOR, TuningConfig(5), expected_version=1, reason="x", scope="meta")
    monkeypatch.setattr(service, "configs", lambda: stale)
    with pytest.raises(ConfigConflict, match="for meta"):
        service.switch_strategy(OPERATOR, TuningStrategy.COST, expected_version=0, reason="cheap")
    assert [v.reason for v in service.history()] == ["x", "x"]


def test_there_is_nothing_to_undo_before_the_second_version(service: TuningService) -> None:
    with pytest.raises(ValueError, match="no change to take back"):
        service.undo(OPERATOR, expected_version=0)


def test_undo_of_the_first_version_goes_back_to_the_defaults(service: TuningService) -> None:
    first = service.apply(OPERATOR, TuningConfig(9), expected_version=0, reason="a", mode=Mode.PINNED)
    [undone] = service.undo(OPERATOR, expected_version=first.version)
    assert (undone.config, undone.mode, undone.restores) == (TuningConfig(), Mode.ADVISE, None)
    assert "back to the defaults" in undone.reason


def test_an_exception_is_made_ended_and_brought_back_by_undo(service: TuningService) -> None:
    own = TuningConfig(timeout_seconds=3.0)
    made = service.apply(OPERATOR, own, expected_version=0, reason="slow type", scope="factual")
    assert service.recall(OPERATOR, "Which team owns it?")["_config_version"] == made.version
    ended = service.end_exception(OPERATOR, "factual", expected_version=made.version, reason="no longer")
    assert service.configs().by_type == {}
    assert service.recall(OPERATOR, "Which team owns this?")["_config_version"] == 0
    with pytest.raises(ValueError, match="no exception"):
        service.end_exception(OPERATOR, "factual", expected_version=0, reason="again")
    assert service.undo(OPERATOR, expected_version=0, scope="factual")[0].config == own
    again = service.configs().by_type["factual"].version
    gone = service.roll_back(OPERATOR, ended.version, expected_version=again, reason="it was better")
    assert gone.ends_exception


def test_undo_of_a_types_first_version_ends_its_exception(service: TuningService) -> None:
    made = service.apply(OPERATOR, TuningConfig(), expected_version=0, reason="x", scope="meta")
    assert service.undo(OPERATOR, expected_version=made.version, scope="meta")[0].ends_exception
    assert "meta" not in service.configs().by_type


def test_whatever_is_done_to_the_load_is_in_the_audit_trail_with_its_author(service: TuningService) -> None:
    service.start_load(OPERATOR, LoadSpec("bursty", rate_per_s=5, duration_s=600))
    service.pause_load(OPERATOR)
    assert service.embedded is not None
    assert service.loads.newest is not None
    assert service.loads.newest.state is State.PAUSED
    service.resume_load(OPERATOR)
    assert service.loads.newest.state is State.RUNNING
    service.stop_load(OPERATOR)
    service.set_demo(OPERATOR, True)
    service.set_demo(OPERATOR, False)
    service.take_sample(OPERATOR, "fast")
    notes = service.store.annotations()
    assert {note.author for note in notes} == {"olga"}
    assert [note.text for note in notes] == [
        "load started: bursty at 5 /s for 600 s", "load paused", "load resumed", "load stopped",
        "demo load started", "demo load stopped", "sample workload fast loaded",
    ]  # fmt: skip


def test_a_load_that_was_started_runs_on_where_the_audit_trail_cannot_be_written(
    service: TuningService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(service.store, "annotate", full)
    service.start_load(OPERATOR, LoadSpec(rate_per_s=5, duration_s=600))
    assert service.embedded is not None
    assert service.loads.newest is not None
    assert "not in the audit trail" in caplog.text
    service.stop_load(OPERATOR)


def test_a_forecast_is_made_once_for_all_who_ask_alike(service: TuningService) -> None:
    fill(service, "fast", 10_000)
    cases = {"four": TuningConfig(4), "ten": TuningConfig(10)}
    run = service.forecast(cases)
    assert service.forecast(cases) is run
    assert run.wait(120)
    assert run.answer is not None
    assert [o.name for o in run.answer.outcomes] == ["four", "ten"]
    assert run.answer.recalls > 1000
    assert service.forecast({"six": TuningConfig(6)}) is not run


def test_a_forecast_is_made_anew_when_it_is_old_and_the_old_one_stays_until_then() -> None:
    now = [0.0]
    forecasts = Forecasts(lambda: now[0])
    question = Question(ConfigSet(), sample="mixed", over="switches")
    old = forecasts.ask("x", lambda: question, stale_after=60)
    assert old.wait(120)
    now[0] = 61.0
    assert forecasts.ask("x", lambda: question, stale_after=60) is old
    until(lambda: forecasts.ask("x", lambda: question, stale_after=60) is not old, 120)
    forecasts.close()


def test_no_more_simulations_wait_than_can_be_waited_for() -> None:
    forecasts = Forecasts(lambda: 0.0)
    question = Question(ConfigSet(), sample="bursty", over="limit")
    for name in range(MOST_WAITING):
        forecasts.ask(name, lambda: question, stale_after=60)
    with pytest.raises(ValueError, match="waiting already"):
        forecasts.ask("one more", lambda: question, stale_after=60)
    forecasts.close()


def test_a_type_is_foretold_under_the_limit_that_all_share(service: TuningService) -> None:
    fill(service, "fast", 10_000)
    run = service.forecast({"own": TuningConfig(17, timeout_seconds=2.0)}, "meta")
    assert run.wait(120)
    assert run.answer is not None
    configs = run.answer.outcomes[0].configs
    assert configs.for_type("meta") == TuningConfig(5, timeout_seconds=2.0)
    assert run.answer.recalls < 1000


def test_an_attached_dashboard_knows_no_proposal_but_what_the_store_says(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 's.db'}")
    watching = TuningService(store, Tail(store))
    recorded = load_records("day", ending_at=watching.now)[-50:]
    store.append_metrics("imports", 1, [m._replace(source="imported") for m in recorded])
    store.append_metrics("measures", 1, [m._replace(source="live") for m in recorded[:20]])
    watching.tail.look()
    assert watching.window.summary().count == 70
    assert len(watching.evidence.metrics) == 20
    assert watching.proposal() is None
    at = watching.configs().default
    wanted = watching.under_strategy(TuningStrategy.COST, at)
    assert wanted == replace(at.config, strategy=TuningStrategy.COST), "nobody has told any values"
    watching.close()


def test_a_sweep_needs_no_manager(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 's.db'}")
    watching = TuningService(store, Tail(store))
    run = watching.sweep("mixed", "switches")
    assert run.wait(120)
    assert run.answer is not None
    empty = watching.sweep(NOW, "limit")
    assert empty.wait(60)
    assert "0 recalls" in empty.failure
    with pytest.raises(ValueError, match="over must be"):
        watching.sweep("mixed", "everything")
    watching.close()


def test_rolling_back_writes_a_new_version_that_names_the_old_one(service: TuningService) -> None:
    for limit in (4, 8, 12):
        at = service.configs().default.version
        service.apply(OPERATOR, TuningConfig(limit), expected_version=at, reason="x")
    first = service.history()[-1].version
    at = service.configs().default.version
    version = service.roll_back(OPERATOR, first, expected_version=at, reason="was better")
    assert (version.config.max_concurrent, version.restores) == (4, first)
    assert len(service.history()) == 4


def test_rolling_back_to_nothing_is_refused(service: TuningService) -> None:
    with pytest.raises(ValueError, match="no version 99"):
        service.roll_back(OPERATOR, 99, expected_version=0, reason="x")


def test_without_a_living_manager_nothing_can_be_written(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    watching = TuningService(store, Tail(store))
    assert watching.standing().blocked is not None
    with pytest.raises(NotAllowed, match="no manager is running"):
        watching.apply(OPERATOR, TuningConfig(), expected_version=0, reason="x")
    with pytest.raises(NotAllowed, match="no manager is running"):
        watching.start_load(OPERATOR, LoadSpec())
    watching.close()


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


def test_a_sample_arrives_in_the_window_as_a_batch_that_tunes_nobody(service: TuningService) -> None:
    taken = service.take_sample(OPERATOR, "fast")
    assert service.window.summary().count == taken.records
    assert service.sources() == [taken]
    assert len(service.evidence.metrics) == 0
    whole = view_of("1h", service.now)
    assert window_reads.summary(service.window, whole).count == 0
    alone = whole.only(sources=frozenset({taken.source}))
    assert window_reads.summary(service.window, alone).count == taken.records


def test_load_moves_the_figures_is_evidence_and_is_taken_out_once_it_has_ended(
    service: TuningService,
) -> None:
    service.start_load(OPERATOR, LoadSpec(rate_per_s=40, duration_s=600))
    run = service.loads.newest
    assert run is not None
    source = f"load:{run.id}"
    until(lambda: run.progress().finished > 20)
    until(lambda: [batch.source for batch in service.sources()] == [source], 20)
    with pytest.raises(ValueError, match="is under way: stop it"):
        service.remove_source(OPERATOR, source)
    service.stop_load(OPERATOR)
    until(lambda: run.progress().in_flight == 0)
    until(lambda: service.store.batches()[0].records == run.progress().finished, 20)
    asked = run.progress().finished
    service.tail.look()
    view = view_of("1h", service.now)
    assert window_reads.summary(service.window, view).count == asked
    assert window_reads.health(service.window, view, 0.001).words == "Load alone in this period"
    assert len(service.evidence.metrics) == asked
    assert service.remove_source(OPERATOR, source).records == asked
    assert len(service.window.metrics) == len(service.evidence.metrics) == 0
    assert service.embedded is not None
    decides = service.embedded.manager
    until(lambda: decides.tuner.profiler.summary().count == 0, 20)


def test_an_unknown_workload_is_refused(service: TuningService) -> None:
    with pytest.raises(ValueError, match="no sample workload"):
        service.take_sample(OPERATOR, "../../etc/passwd")


def test_a_load_run_can_be_stopped_and_only_one_runs_at_a_time(service: TuningService) -> None:
    assert service.embedded is not None
    service.start_load(OPERATOR, LoadSpec(rate_per_s=50, duration_s=600))
    with pytest.raises(ValueError, match="under way"):
        service.start_load(OPERATOR, LoadSpec())
    load = service.loads.newest
    assert load is not None
    until(lambda: load.progress().finished > 3)
    service.stop_load(OPERATOR)
    assert load.state is State.STOPPED
    assert service.embedded.manager.status().recalls > 0


def test_the_demo_load_is_seen_started_and_stopped(service: TuningService) -> None:
    assert service.standing().demo is False
    service.set_demo(OPERATOR, True)
    service.set_demo(OPERATOR, True)
    assert service.standing().demo is True
    service.set_demo(OPERATOR, False)
    assert service.standing().demo is False


@pytest.mark.parametrize("words", ["", "  \n", "x" * 10_001])
def test_a_query_of_no_or_absurd_length_is_refused(service: TuningService, words: str) -> None:
    with pytest.raises(ValueError, match="a query has"):
        service.recall(OPERATOR, words)


def test_answers_are_computed_once_while_the_window_stays_as_it_is(service: TuningService) -> None:
    fill(service)
    asked: list[object] = []

    def read(window: object, view: object) -> int:
        asked.append(view)
        return len(asked)

    view = view_of("1h", service.now)
    assert service.ask(read, view) == service.ask(read, view) == 1
    assert service.ask(read, view.only(query_type="meta")) == 2


def test_open_builds_the_sample_memory_once_and_runs_the_demo_load(tmp_path: Path) -> None:
    settings = {
        "ATHENA_TUNING_STORE": f"sqlite:///{tmp_path / 's.db'}",
        "ATHENA_TUNING_MEMORY": str(tmp_path / "m.db"),
    }
    opened = TuningService.open(settings)
    assert opened.standing().demo is True
    assert sum(opened.embedded.manager.counts().values()) > 1000  # type: ignore[union-attr]
    opened.close()
    assert not list(tmp_path.glob(".*building*"))
    quiet = TuningService.open({**settings, "ATHENA_TUNING_DEMO": "0"})
    assert quiet.standing().demo is False
    quiet.close()


def test_a_memory_of_ones_own_gets_no_demo_load(tmp_path: Path) -> None:
    with MemoryManager(tmp_path / "own.db") as manager:
        manager.remember({"id": "1", "layer": "episodic", "text": "mine"})
    opened = TuningService.open(
        {"ATHENA_TUNING_STORE": "memory://", "ATHENA_TUNING_MEMORY": str(tmp_path / "own.db")}
    )
    assert opened.standing().demo is False
    opened.close()


@pytest.mark.parametrize(
    ("claims", "sign_in", "local", "environ", "role"),
    [
        (None, False, True, {}, Role.OPERATOR),
        (None, False, False, {}, Role.VIEWER),
        (None, False, True, {"ATHENA_TUNING_ROLE": "viewer"}, Role.VIEWER),
        ({"email": "a@b.c"}, True, True, {}, Role.VIEWER),
        ({"email": "A@b.c"}, True, False, {"ATHENA_TUNING_OPERATORS": "x@y.z, a@B.c"}, Role.OPERATOR),
        (
            {"email": "a@b.c", "email_verified": False},
            True,
            False,
            {"ATHENA_TUNING_OPERATORS": "a@b.c"},
            Role.VIEWER,
        ),
        ({"email": ""}, True, True, {"ATHENA_TUNING_OPERATORS": ""}, Role.VIEWER),
        ({}, True, True, {"ATHENA_TUNING_OPERATORS": ","}, Role.VIEWER),
    ],
)
def test_who_is_an_operator(
    claims: dict[str, object] | None, sign_in: bool, local: bool, environ: dict[str, str], role: Role
) -> None:
    assert actor_from(claims, sign_in=sign_in, local=local, environ=environ).role is role


def test_a_fast_forward_is_in_the_window_at_once_and_says_it_is_simulated(service: TuningService) -> None:
    spec = LoadSpec(rate_per_s=1, duration_s=600, mix=mix_of(load_records("fast")))
    made = service.fast_forward(OPERATOR, spec, evidence="fast")
    assert {m.source for m in service.window.metrics} == {made.source}
    assert made.kind == "simulated"
    assert len(service.window.metrics) == made.records > 400
    assert service.sources() == [made]


def test_an_import_is_in_the_window_at_once_and_comes_once(
    service: TuningService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATHENA_TUNING_HOME", str(tmp_path))
    path = tmp_path / "log.csv"
    path.write_text("ts,latency_ms\n1700000000,5\n1700000001,7\n")
    for _ in range(2):
        came = service.import_file(OPERATOR, Import(path))
    source = f"imported:{came.batch}"
    assert [(m.latency_ms, m.success, m.source) for m in service.window.metrics] == [
        (5.0, None, source),
        (7.0, None, source),
    ]
    assert service.remove_source(OPERATOR, source).records == 2
    assert len(service.window.metrics) == 0
    assert service.import_file(OPERATOR, Import(path)).earlier is None, "it is gone, so it may come again"
    assert len(service.window.metrics) == 2
