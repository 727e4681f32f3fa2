"""Forecasts: made once for all who ask alike, anew when they are old, and no more than can be waited for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from athena_tuning.load.whatif_run import Question
from athena_tuning.model import ConfigSet, TuningConfig, TuningStrategy
from athena_tuning.samples.sample_workloads import load_records
from athena_tuning.service.forecast_reads import NOW
from athena_tuning.service.forecasts import MOST_WAITING, Forecasts
from athena_tuning.service.store_follower import Tail
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.store import open_store
from athena_tuning.testing.waiting import until
from tests.support.dashboard import fill


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
