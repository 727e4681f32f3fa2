"""What is promised, from a terminal: set, shown, taken back, and said first by ``status``."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from athena_tuning.samples.sample_workloads import load_records
from athena_tuning.store import open_store
from tests.support import command_line


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store that holds what a manager measured in the last minutes."""
    named = f"sqlite:///{tmp_path / 'store.db'}"
    with open_store(named) as store:
        records = [m._replace(source="live") for m in load_records("mixed", ending_at=time.time() - 1)[-600:]]
        store.append_metrics("a", 1, records)
    return named


def run(*words: str, code: int = 0) -> str:
    result = command_line.run(*words)
    assert result.exit_code == code, result.output
    return result.output


def test_objectives_are_set_one_by_one_shown_and_taken_back(url: str) -> None:
    assert "nothing is promised" in run("objectives", "--store", url)
    assert "p99 250 ms" in run("objectives", "set", "--p99", "250", "--store", url)
    assert "p99 250 ms, 99.9 % success" in run("objectives", "set", "--success", "99.9", "--store", url)
    run("objectives", "set", "--p99", "1", "--type", "temporal", "--store", url)
    told = json.loads(run("objectives", "--store", url, "--json"))
    assert [(each["objective"]["scope"], each["of_what"]) for each in told] == [
        ("all", "p99"),
        ("all", "success"),
        ("temporal", "p99"),
    ]
    assert told[2]["last_hour"] > 1
    assert "nothing" in run("objectives", "remove", "--type", "temporal", "--store", url)
    assert len(json.loads(run("objectives", "--store", url, "--json"))) == 2


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ([], "say what is promised"),
        (["--p99", "-5"], "above 0 ms, not -5 ms"),
        (["--success", "100"], "below 100 %, not 100 %"),
    ],
)
def test_a_promise_that_makes_no_sense_is_refused_with_the_way_out(
    url: str, options: list[str], why: str
) -> None:
    result = command_line.run("objectives", "set", *options, "--store", url)
    assert result.exit_code in (1, 2)
    assert why in result.output


def test_status_begins_with_the_sentence_and_its_way_out(url: str) -> None:
    said = run("status", "--store", url)
    assert said.startswith("No manager is alive on this store.")
    told = json.loads(run("status", "--store", url, "--json"))
    assert told["situation"]["level"] == "bad"
    assert told["situation"]["ways_out"][0]["target"] == "fleet"
