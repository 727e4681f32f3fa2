"""Items are loaded into a memory and found again from a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command_line import items_file, run


@pytest.mark.parametrize("name", ["items.jsonl", "items.jsonl.gz", "of {project} [old].jsonl"])
def test_items_are_loaded_and_found(tmp_path: Path, name: str) -> None:
    loaded = run("ingest", str(items_file(tmp_path, name=name)))
    assert loaded.exit_code == 0
    assert "3 items" in loaded.stdout
    answer = run("recall", "when did the billing deploy fail?")
    assert answer.exit_code == 0
    assert "The billing deploy failed on Friday." in answer.stdout
    assert "service ms" in answer.stdout


def test_bad_lines_are_named_the_rest_is_loaded_and_the_exit_code_says_so(tmp_path: Path) -> None:
    done = run("ingest", str(items_file(tmp_path, "{", '{"layer": "semantic"}')), "--json")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert told["loaded"] == 3
    assert [bad["line"] for bad in told["bad"]] == [4, 5]
    assert "id" in told["bad"][1]["reason"]


def test_text_from_a_memory_is_never_taken_for_markup(tmp_path: Path) -> None:
    run("ingest", str(items_file(tmp_path)))
    assert "[bold]Markup[/bold]" in run("recall", "billing markup note").stdout


def test_a_recall_gives_at_most_k_results_and_where_the_time_went_as_json(tmp_path: Path) -> None:
    run("ingest", str(items_file(tmp_path)))
    told = json.loads(run("recall", "billing", "-k", "1", "--json").stdout)
    assert len(told["results"]) == 1
    assert {task["layer"] for task in told["tasks"]} == set(told["layers"])
    assert all(task["service_ms"] > 0 for task in told["tasks"])


def test_a_missing_memory_is_named_with_the_way_out() -> None:
    done = run("recall", "anything")
    assert done.exit_code == 1
    assert "memory.db" in done.stderr
    assert "athena-tuning ingest" in done.stderr
