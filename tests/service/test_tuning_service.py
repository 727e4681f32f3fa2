"""What else the service does: load, samples, imports, questions, answers that are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from athena_tuning.interchange import Import
from athena_tuning.load.fast_forward import mix_of
from athena_tuning.load.run_handle import State
from athena_tuning.load.spec import LoadSpec
from athena_tuning.samples.sample_workloads import load_records
from athena_tuning.service import window_reads
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.service.view import view_of
from athena_tuning.store import StoreError
from athena_tuning.testing.waiting import until
from tests.support.dashboard import OPERATOR, fill


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
