"""``athena-tuning quality``: what layers find of the right answers, beside what they cost."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from click.testing import Result

from athena_tuning.model import LAYERS, TuningConfig
from athena_tuning.recall import MemoryManager
from athena_tuning.store import ConfigChange, open_store
from athena_tuning.testing.waiting import until
from tests.support import command_line

QUESTIONS = [
    {"text": "who owns billing", "evidence": ["e1"]},
    {"text": "billing database postgres", "evidence": ["g1", "s1"]},
    {"text": "unanswerable", "evidence": []},
]


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    path = tmp_path / "m.db"
    with MemoryManager(path) as manager:
        manager.remember({"id": "e1", "layer": "episodic", "text": "Ana owns billing since May."})
        manager.remember({"id": "s1", "layer": "semantic", "text": "The billing database is postgres."})
        manager.remember({"id": "g1", "layer": "graph", "text": "billing uses postgres"})
    return path


def gold(folder: Path, *lines: object, name: str = "gold.jsonl") -> Path:
    path = folder / name
    body = "\n".join(json.dumps(line) for line in lines).encode()
    path.write_bytes(gzip.compress(body) if name.endswith(".gz") else body)
    return path


def run(memory: Path, file: Path, *args: str) -> Result:
    return command_line.run("quality", "--gold", str(file), "--memory", str(memory), *args)


@pytest.mark.parametrize("name", ["gold.jsonl", "gold.jsonl.gz"])
def test_each_set_of_layers_is_measured_beside_the_configs_in_force(
    memory: Path, tmp_path: Path, name: str
) -> None:
    file = gold(tmp_path, *QUESTIONS, name=name)
    done = run(memory, file, "--layers", "episodic", "--layers", "episodic+semantic>graph", "--json")
    assert done.exit_code == 0, done.stderr
    force, episodic, rounds = json.loads(done.stdout)
    assert [one["way"] for one in (force, episodic, rounds)] == [
        "in force",
        "episodic",
        "episodic+semantic>graph",
    ]
    assert force["questions"] == 2  # one has no evidence
    assert force["recall"]["mean"] == 1.0
    assert force["lost"]["mean"] == 0.0
    assert episodic["recall"]["mean"] == 0.5
    assert episodic["lost"]["mean"] == 0.5
    assert episodic["calls"]["mean"] == 1.0
    assert episodic["saved"]["mean"] == force["calls"]["mean"] - 1.0
    assert rounds["recall"]["mean"] == 1.0
    assert episodic["recall"]["low"] < 0.5 < episodic["recall"]["high"]


def test_what_is_in_force_is_the_stores_and_nothing_is_recorded_there(memory: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    with open_store(url) as store:
        config = TuningConfig(skipped_layers=frozenset({"graph", "semantic"}))
        version = store.apply_config(ConfigChange(config, expected_version=0, actor="t", reason="t"))
        done = run(memory, gold(tmp_path, *QUESTIONS), "--store", url, "--json")
        assert done.exit_code == 0, done.stderr
        assert not store.tail_metrics().records
        assert not store.workers()
    (force,) = json.loads(done.stdout)
    assert force["versions"] == [version.version]
    assert force["recall"]["mean"] == 0.5


def test_the_table_says_what_is_lost_and_saved(memory: Path, tmp_path: Path) -> None:
    done = run(memory, gold(tmp_path, *QUESTIONS), "--layers", "episodic")
    assert done.exit_code == 0, done.stderr
    assert "recall@10" in done.stdout
    assert "2 questions of gold.jsonl; lost and saved beside in force" in done.stdout


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ([1], "line 2 of"),
        ({"evidence": ["a"]}, "a question needs a text"),
        ({"text": "x", "evidence": "a"}, "evidence must be a list"),
        ({"text": "x", "evidence": [1]}, "evidence must be a list"),
        ({"text": "x", "evidence": ["a"], "scope": 3}, "scope must be text"),
    ],
)
def test_a_line_that_does_not_fit_is_refused_with_its_number(
    memory: Path, tmp_path: Path, line: object, why: str
) -> None:
    done = run(memory, gold(tmp_path, QUESTIONS[0], line))
    assert done.exit_code == 1
    assert "line 2 of" in done.stderr
    assert why in done.stderr


@pytest.mark.parametrize(
    ("layers", "why"),
    [
        ("episodic+", "joined by +"),
        ("episodic+episodic", "joined by +"),
        ("a>b>c", "joined by +"),
        ("episodic>graph", "two layers that can agree"),
        ("tickets", "the memory has no layer 'tickets'"),
    ],
)
def test_layers_that_make_no_sense_are_refused_in_one_line(
    memory: Path, tmp_path: Path, layers: str, why: str
) -> None:
    done = run(memory, gold(tmp_path, *QUESTIONS), "--layers", layers)
    assert done.exit_code == 1
    assert why in done.stderr
    assert "Traceback" not in done.stderr


def test_one_question_has_a_mean_without_an_interval(memory: Path, tmp_path: Path) -> None:
    shown = run(memory, gold(tmp_path, QUESTIONS[0])).stdout
    assert "1.000 (–)" in shown
    assert "nan" not in shown
    assert "1 question of gold.jsonl" in shown


@pytest.mark.parametrize("args", [("--by", "plan"), ("--days", "3")])
def test_what_is_of_feedback_is_refused_beside_gold(
    memory: Path, tmp_path: Path, args: tuple[str, str]
) -> None:
    done = run(memory, gold(tmp_path, *QUESTIONS), *args)
    assert done.exit_code == 2
    assert "--by and --days are of the scores of --feedback" in done.stderr


def test_a_file_in_which_nothing_can_be_found_is_refused(memory: Path, tmp_path: Path) -> None:
    done = run(memory, gold(tmp_path, QUESTIONS[2]))
    assert done.exit_code == 1
    assert "no question of" in done.stderr


def test_layers_of_a_config_are_set_and_emptied_on_the_command_line(memory: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"

    def apply(*values: str) -> dict[str, object]:
        args = ["config", "apply", *values, "--reason", "r", "--store", url, "--json"]
        done = command_line.run(*args)
        assert done.exit_code == 0, done.stderr
        told: dict[str, object] = json.loads(done.stdout)["config"]
        return told

    with open_store(url) as store, MemoryManager(memory, store=store):
        until(store.workers)
        made = apply(
            *(
                "--extra",
                "episodic, graph",
                "--second",
                "graph",
                "--second-below",
                "4",
                "--thin-below",
                "2",
                "--explore",
                "0.1",
            )
        )
        assert (made["extra_layers"], made["second_round"]) == (["episodic", "graph"], ["graph"])
        assert (made["second_round_below"], made["exploration_share"]) == (4, 0.1)
        assert made["thin_below"] == 2
        made = apply("--hedge", "graph,semantic", "--hedge-after", "0.9")
        assert (made["hedged_layers"], made["hedging_quantile"]) == (["graph", "semantic"], 0.9)
        made = apply("--extra", "none", "--skip", "meta", "--hedge", "none")
        assert made["hedged_layers"] == []
        assert (made["extra_layers"], made["skipped_layers"]) == ([], ["meta"])


def test_fusion_is_learned_from_the_questions_and_can_be_put_in_force(memory: Path, tmp_path: Path) -> None:
    with MemoryManager(memory) as manager:
        for n in range(60):
            right = {"id": f"s-{n}", "layer": "semantic", "text": f"part number{n} belongs to Ana"}
            seen = [
                {"id": f"e-{n}-{m}", "layer": "episodic", "text": f"number{n} seen {m}"} for m in range(9)
            ]
            manager.remember_many([right, *seen])
    lines = [{"text": f"which part is number{n}", "evidence": [f"s-{n}"]} for n in range(60)]
    file = gold(tmp_path, *lines)
    store = ("--store", f"sqlite:///{tmp_path / 's.db'}")
    done = run(memory, file, "-k", "1", "--learn-fusion", "--json", *store)
    assert done.exit_code == 0, done.stderr
    fusion = json.loads(done.stdout)["fusion"]
    assert fusion["is_sure"]
    assert fusion["gained"]["mean"] == pytest.approx(fusion["left_out"]["mean"] - fusion["recall"]["mean"])
    told = run(memory, file, "-k", "1", "--learn-fusion", *store).stdout
    command = " ".join(told.split("athena-tuning ")[-1].split('"')[0].split())
    with open_store(store[1]) as opened, MemoryManager(memory, store=opened):
        until(opened.workers)
        applied = command_line.run(*command.split(), "learned", *store)
        assert applied.exit_code == 0, applied.output
        config = opened.config_set().default.config
        assert dict(config.fusion_weights) == fusion["weights"]
        assert config.rank_constant == fusion["rank_constant"]
    after = json.loads(run(memory, file, "-k", "1", "--json", *store).stdout)[0]
    assert after["recall"]["mean"] > fusion["recall"]["mean"]


def test_each_type_of_which_there_are_enough_questions_has_a_rule_of_its_own(
    memory: Path, tmp_path: Path
) -> None:
    with MemoryManager(memory) as manager:
        for n in range(60):
            right = {"id": f"s-{n}", "layer": "semantic", "text": f"part number{n} belongs to Ana"}
            seen = [
                {"id": f"e-{n}-{m}", "layer": "episodic", "text": f"number{n} seen {m}"} for m in range(9)
            ]
            manager.remember_many([right, *seen])
    lines = [{"text": f"which part is number{n}", "evidence": [f"s-{n}"]} for n in range(60)]
    lines += [{"text": f"when was number{n} seen", "evidence": [f"e-{n}-0"]} for n in range(60)]
    lines += [{"text": f"how to find number{n}", "evidence": [f"s-{n}"]} for n in range(9)]
    done = run(memory, gold(tmp_path, *lines), "-k", "1", "--learn-fusion", "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["fusion"]["scope"], told["fusion"]["questions"]) == ("all", 129)
    by_type = {advice["scope"]: advice for advice in told["fusion_by_type"]}
    assert {scope: advice["questions"] for scope, advice in by_type.items()} == {
        "factual": 60,
        "temporal": 60,
    }
    assert by_type["factual"]["is_sure"]
    words = run(memory, gold(tmp_path, *lines), "-k", "1", "--learn-fusion").stdout
    assert "--scope factual" in " ".join(words.split())


def test_few_questions_teach_no_weights(memory: Path, tmp_path: Path) -> None:
    done = run(memory, gold(tmp_path, *QUESTIONS), "--learn-fusion")
    assert done.exit_code == 1
    assert "too few to learn from" in done.stderr


def test_each_layer_left_out_is_measured_beside_what_it_saves(memory: Path, tmp_path: Path) -> None:
    done = run(memory, gold(tmp_path, *QUESTIONS), "--leave-out-each", "--json")
    assert done.exit_code == 0, done.stderr
    ways = {one["way"]: one for one in json.loads(done.stdout)}
    assert [*ways] == ["in force", *(f"without {layer}" for layer in LAYERS)]
    assert ways["without episodic"]["lost"]["mean"] == 0.5
    assert ways["without episodic"]["saved"]["mean"] > 0
    assert ways["without prospective"]["lost"]["mean"] == 0.0
    assert all(one["latency_ms"]["mean"] > 0 for one in ways.values())
    assert "ms saved" in run(memory, gold(tmp_path, *QUESTIONS), "--leave-out-each").stdout


def scored(*args: str) -> Result:
    return command_line.run("quality", "--feedback", *args)


def test_feedback_is_read_from_the_store_whichever_worker_took_it(memory: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    with (
        open_store(url) as store,
        MemoryManager(memory, store=store) as one,
        MemoryManager(memory, store=store) as other,
    ):
        ids = [one.recall("who owns billing", use_cache=False)["_query_id"] for _ in range(3)]
        until(lambda: len(store.workers()) == 2)
        assert [other.record_feedback(query_id, 1.0) for query_id in ids] == [True] * 3
        assert one.record_feedback(ids[0], 0.25)
    done = scored("--store", url, "--by", "plan", "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    [way] = told["ways"]
    assert (way["way"], way["scores"], way["score"]["mean"]) == ("by words", 3, 0.75)
    assert {cost["layer"] for cost in told["layers"]} >= {"episodic", "semantic"}
    assert all(cost["score_lost"]["mean"] is None for cost in told["layers"])  # three scores say nothing
    text = scored("--store", url)
    assert "What leaving a layer out would cost and save" in text.stdout
    assert "0.750" in text.stdout


def test_a_store_without_scores_says_where_they_come_from(memory: Path, tmp_path: Path) -> None:
    done = scored("--store", f"sqlite:///{tmp_path / 's.db'}")
    assert done.exit_code == 0, done.stderr
    assert "Nobody has scored an answer" in done.stdout


@pytest.mark.parametrize(
    "args", [[], ["--feedback", "--layers", "episodic"], ["--feedback", "--learn-fusion"]]
)
def test_gold_and_feedback_are_one_of_two(memory: Path, args: list[str]) -> None:
    done = command_line.run("quality", *args)
    assert done.exit_code == 2
    assert "--gold" in done.stderr
