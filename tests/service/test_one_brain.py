"""There is one proposal; it rests on what managers that serve have met, whatever else is looked at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from athena_tuning.cli import main
from athena_tuning.interchange import Import
from athena_tuning.interchange.export import export_records
from athena_tuning.load.spec import LoadSpec
from athena_tuning.model import ConfigSet, Mode, Proposal, QueryMetrics, TuningStrategy
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.recall import MemoryManager
from athena_tuning.samples.sample_workloads import list_samples, load_records
from athena_tuning.service.store_follower import Tail
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.store import Store, open_store
from athena_tuning.testing.waiting import until
from athena_tuning.tuning import AutoTuner
from tests.support.dashboard import OPERATOR, told


def measured(name: str, now: float, most: int = 900) -> list[QueryMetrics]:
    records = load_records(name, ending_at=now - 1)[-most:]
    return [m._replace(source="live", query_id=f"live-{i}") for i, m in enumerate(records)]


def substance(proposal: Proposal) -> dict[str, object]:
    """Return what is proposed, without the ids and times that differ from one telling to the next."""
    values = proposal.to_dict()
    for strategy in values["by_strategy"].values():
        strategy["decision"] |= {"decision_id": "", "time": 0.0}
    return {**values, "time": 0.0, "author": ""}


def decided(records: list[QueryMetrics], strategy: TuningStrategy) -> dict[str, dict[str, object]]:
    """Return by scope what the tuner that decides proposes after the same recalls, in mode auto."""
    now = max(m.timestamp for m in records)
    profiler = PerformanceProfiler(clock=lambda: now)
    for record in records:
        profiler.record_query(record)
    tuner = AutoTuner(profiler, strategy, clock=lambda: now)
    configs = ConfigSet()
    tuner.in_force(configs)
    made = list(tuner.step(configs, now))
    while tuner.is_looking:
        made += tuner.step(configs, now)
    proposals = {p.scope: p for p in tuner.proposals(configs, now)}
    searched = [d for d in made if d.scope == "all" and d.policy == "model"]
    assert proposals["all"].current.decision.after == tuner.propose().after
    if searched:
        assert proposals["all"].current.decision.after.max_concurrent == searched[0].after.max_concurrent
    return {scope: substance(p) for scope, p in proposals.items()}


def test_after_samples_an_import_and_a_simulated_day_the_proposal_is_the_one_from_before(
    service: TuningService, tmp_path: Path
) -> None:
    live = measured("bursty", service.now)
    service.store.append_metrics("serves", 1, live)
    service.tail.look()
    live = list(service.store.tail_metrics().records)  # times as a store keeps them
    before = told(service, 1)
    assert before.current.is_advice
    for sample in list_samples():
        service.take_sample(OPERATOR, sample.name)
    file = tmp_path / "theirs.jsonl"
    export_records(load_records("slow"), file)
    service.import_file(OPERATOR, Import(file), confirmed=True)
    service.fast_forward(OPERATOR, LoadSpec("day", rate_per_s=0.05, duration_s=86_400))
    assert len(service.sources()) == len(list_samples()) + 2
    assert service.embedded is not None
    decides = service.embedded.manager.tuner
    until(lambda: decides.profiler.counters["recorded"] >= len(live), 20)
    service.embedded.manager._membership.tuner_loop.step()
    assert decides.profiler.summary().count == len(live), "the tuner has met nothing of it"
    assert len(service.evidence.metrics) == len(live)
    after = told(service, 1)
    assert substance(after) == substance(before)
    assert substance(after)["by_strategy"] == decided(live, after.strategy)["all"]["by_strategy"]
    for batch in service.sources():
        service.remove_source(OPERATOR, batch.source)
    assert service.window.sources() == {"live": len(live)}
    assert substance(told(service, 1)) == substance(before)


@pytest.mark.parametrize("strategy", TuningStrategy)
@pytest.mark.parametrize("name", [sample.name for sample in list_samples()])
def test_what_is_published_is_what_the_tuner_in_auto_decides_on_the_same_recalls(
    name: str, strategy: TuningStrategy
) -> None:
    proposals = decided(measured(name, 1_750_000_000.0, 600), strategy)
    assert {"all"} < set(proposals)
    for proposal in proposals.values():
        by_strategy = proposal["by_strategy"]
        assert isinstance(by_strategy, dict)
        assert set(by_strategy) == {wanted.value for wanted in TuningStrategy}
        assert {told["decision"]["after"]["strategy"] for told in by_strategy.values()} == set(by_strategy)


@pytest.fixture
def published(tmp_path: Path) -> Iterator[tuple[Store, str]]:
    """A store on which a manager leads and has told a proposal."""
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    with open_store(url) as store, MemoryManager(":memory:", store=store, mode=Mode.ADVISE) as manager:
        store.append_metrics("serves", 1, measured("bursty", manager._clock()))
        until(lambda: (p := store.proposals().get("all")) is not None and p.in_force is not None, 30)
        yield store, url


def test_the_command_line_the_service_and_python_read_the_same_object(published: tuple[Store, str]) -> None:
    store, url = published
    done = CliRunner().invoke(main, ["propose", "--store", url, "--json"])
    assert done.exit_code == 0, done.stderr
    watching = TuningService(store, Tail(store))
    proposal = watching.proposal()
    assert proposal is not None
    assert json.loads(done.stdout) == json.loads(json.dumps(proposal.to_dict()))
    assert proposal == store.proposals()["all"]
    shown = CliRunner().invoke(main, ["propose", "--store", url])
    assert proposal.author in shown.stdout
    assert f"rests on {proposal.recalls} recalls" in shown.stdout


def test_without_anybody_who_leads_the_command_says_so(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    open_store(url).close()
    done = CliRunner().invoke(main, ["propose", "--store", url])
    assert done.exit_code == 1
    assert "no tuner has told a proposal yet" in done.stderr
