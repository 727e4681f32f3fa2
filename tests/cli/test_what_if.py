"""``athena-tuning what-if``: values and plans against each other, on recorded recalls and on gold."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from click.testing import Result

from athena_tuning.control.posted_evidence import TOPIC, posted_evidence
from athena_tuning.recall import MemoryManager
from athena_tuning.samples.sample_workloads import load_records
from athena_tuning.store import open_store
from athena_tuning.testing.waiting import until
from athena_tuning.tuning.estimation.layer_value import Mean, Share
from athena_tuning.tuning.estimation.plan_evidence import LayerEvidence, PlanEvidence
from tests.support import command_line

LATER = "episodic+semantic>graph"


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """No table is cut."""
    monkeypatch.setenv("COLUMNS", "220")


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store with recalls, and with what a tuner has seen of graph."""
    url = f"sqlite:///{tmp_path / 's.db'}"
    known = LayerEvidence(Share(700, 1000), Mean(0.2, 0.01, 1000), Mean(0.01, 0.002, 1000))
    records = [m._replace(source="live") for m in load_records("mixed")[-400:]]
    evidence = PlanEvidence({kind: {"graph": known} for kind in {m.query_type for m in records}})
    with open_store(url) as store:
        moved = time.time() - 60 - records[-1].timestamp
        store.append_metrics("w", 1, [m._replace(timestamp=m.timestamp + moved) for m in records])
        store.post(TOPIC, "leader", json.dumps(evidence.to_dict()))
    return url


def run(*args: str) -> Result:
    return command_line.run("what-if", *args)


def test_a_plan_is_told_with_its_calls_latency_and_what_it_loses(url: str) -> None:
    done = run("--store", url, "--over", "plans", "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    by_name = {outcome["name"]: outcome for outcome in told["outcomes"]}
    later, without = by_name["graph later"], by_name["without graph"]
    assert without["calls"][0] <= later["calls"][0] <= told["base"]["calls"][0]
    assert without["calls"][0] < told["base"]["calls"][0]
    assert later["calls_change"][1] <= later["calls_change"][0] <= later["calls_change"][2]
    assert 0 < later["lost"][0] < 0.01  # of the recalls that ask it, one in a hundred pieces
    assert without["lost"][0] == pytest.approx(20 * later["lost"][0])
    assert by_name["semantic later"]["lost"][0] is None  # nobody has seen what it is worth
    assert told["best"] != "without graph"  # however fast it is
    shown = run("--store", url, "--over", "plans").stdout
    assert "answer lost" in shown
    assert f"{without['lost'][0]:.1%}".replace("%", " % (") in shown


def test_plans_are_measured_on_gold_beside(url: str, tmp_path: Path) -> None:
    memory, gold = tmp_path / "m.db", tmp_path / "gold.jsonl"
    with MemoryManager(memory) as manager:
        manager.remember({"id": "e1", "layer": "episodic", "text": "Ana owns billing since May."})
        manager.remember({"id": "g1", "layer": "graph", "text": "billing uses postgres"})
    gold.write_text(json.dumps({"text": "who owns billing", "evidence": ["e1"]}))
    asked = ("--store", url, "--plan", LATER, "--plan", "graph", "--gold", str(gold), "--memory", str(memory))
    told = run(*asked, "--json")
    assert told.exit_code == 0, told.stderr
    found = json.loads(told.stdout)
    assert [outcome["name"] for outcome in found["outcomes"]] == [LATER, "graph"]
    assert found["outcomes"][1]["calls"][0] <= 1.0
    assert {one["way"]: one["recall"]["mean"] for one in found["quality"]} == {
        "in force": 1.0,
        LATER: 1.0,
        "graph": 0.0,
    }
    assert "100.0 % (" in run(*asked).stdout


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("--plan", "episodic>graph"), "two layers that can agree"),
        (("--gold", __file__), "name one with --plan"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_in_one_line(url: str, args: tuple[str, ...], why: str) -> None:
    done = run("--store", url, *args)
    assert done.exit_code != 0
    assert why in done.stderr
    assert "Traceback" not in done.stderr


def test_a_manager_that_leads_tells_what_it_has_seen_of_layers(tmp_path: Path) -> None:
    with (
        open_store(f"sqlite:///{tmp_path / 'own.db'}") as store,
        MemoryManager(tmp_path / "m.db", store=store) as manager,
    ):
        manager.remember({"id": "e1", "layer": "episodic", "text": "Ana owns billing since May."})
        manager.remember({"id": "s1", "layer": "semantic", "text": "Billing is owned by Ana."})
        manager.recall("who owns billing?", use_cache=False)
        until(lambda: posted_evidence(store).by_type)
        [known] = posted_evidence(store).by_type.values()
        assert known["episodic"].spared.recalls == 1
        store.post(TOPIC, "leader", '{"factual": 3}')
        assert posted_evidence(store) == PlanEvidence()


MODEL = {"graph": {"every question": -0.02, "depends": 0.1}}


def test_a_question_model_asks_the_layers_that_the_words_of_each_recall_call_for(
    url: str, tmp_path: Path
) -> None:
    file = tmp_path / "model.json"
    file.write_text(json.dumps({"episodic": {"every question": 1.0}}))
    done = run("--store", url, "--question-model", str(file), "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    [outcome] = told["outcomes"]
    assert outcome["name"] == "by question"
    assert outcome["calls"][0] > told["base"]["calls"][0]
    assert outcome["lost"][0] is None or outcome["lost"][0] != outcome["lost"][0]
    assert told["best"] is None


def test_a_question_model_is_not_simulated_on_recalls_whose_texts_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATHENA_TUNING_TEXTS", "hash")
    url, file = f"sqlite:///{tmp_path / 'hashed.db'}", tmp_path / "model.json"
    file.write_text(json.dumps(MODEL))
    records = [m._replace(source="live") for m in load_records("mixed")[-200:]]
    with open_store(url) as store:
        moved = time.time() - 60 - records[-1].timestamp
        store.append_metrics("w", 1, [m._replace(timestamp=m.timestamp + moved) for m in records])
    done = run("--store", url, "--question-model", str(file))
    assert done.exit_code == 1
    assert "'by question' cannot be simulated" in done.stderr
    assert "the text is not kept" in done.stderr
    assert run("--store", url, "--over", "switches").exit_code == 0


@pytest.mark.parametrize(
    ("body", "why"),
    [("{", "no JSON file"), ('{"graph": {"owns": "much"}}', "question_model['graph']['owns'] must be a")],
)
def test_a_question_model_that_makes_no_sense_is_refused(
    url: str, tmp_path: Path, body: str, why: str
) -> None:
    file = tmp_path / "model.json"
    file.write_text(body)
    done = run("--store", url, "--question-model", str(file))
    assert done.exit_code in (1, 2)
    assert why in done.stderr


def test_a_what_if_is_told_to_people_and_to_scripts() -> None:
    told = run("--sample", "bursty", "--over", "timeout")
    assert told.exit_code == 0, told.output
    plain = json.loads(run("--sample", "bursty", "--over", "timeout", "--json").output)
    best = plain["best"]
    assert (f"best for balanced: {best}" if best else "nothing is surely better") in told.output
    for outcome in plain["outcomes"]:
        assert outcome["name"] in told.output
        value, low, high = outcome["p99_change"]
        assert low <= value <= high
    plain = json.loads(run("--sample", "mixed", "--over", "switches", "--json").output)
    assert [outcome["name"] for outcome in plain["outcomes"]] == ["layers in turn", "cache off"]
    assert plain["outcomes"][1]["config"]["enable_cache"] is False


def test_a_limit_beyond_what_the_law_can_be_asked_is_told_as_a_guess() -> None:
    assert "a guess" in run("--sample", "slow").output


def test_a_what_if_of_a_batch_is_of_that_batch_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'batches.db'}"
    with open_store(url) as store:
        recorded = load_records("bursty", ending_at=time.time())
        records = [record._replace(source="sample:bursty-1") for record in recorded]
        store.append_metrics("sample:bursty-1", 1, records)
    of_batch = run("--source", "sample:bursty-1", "--over", "switches", "--store", url, "--json")
    assert of_batch.exit_code == 0, of_batch.output
    of_sample = json.loads(run("--sample", "bursty", "--over", "switches", "--json").stdout)
    assert json.loads(of_batch.stdout)["recalls"] == of_sample["recalls"]
    assert "no batch 'sample:else'" in run("--source", "sample:else", "--store", url).output
    assert run("--source", "sample:bursty-1", "--sample", "slow").exit_code == 2


def test_a_what_if_without_recalls_fails_in_one_line() -> None:
    failed = run()
    assert failed.exit_code == 1
    assert "0 recalls say what their layers did" in failed.output
    assert "Traceback" not in failed.output
