"""Experiments from a terminal: started, shown and ended on a store that a manager shares."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from athena_tuning.recall import MemoryManager
from athena_tuning.store import open_store
from athena_tuning.testing.waiting import until
from tests.support.command_line import run


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A store that a manager shares."""
    named = f"sqlite:///{tmp_path / 'store.db'}"
    with open_store(named) as store, MemoryManager(":memory:", store=store):
        until(store.workers)
        yield named


def output_of(*words: str, code: int = 0) -> str:
    result = run("experiment", *words)
    assert result.exit_code == code, result.output
    return result.output


def test_an_experiment_is_started_shown_and_ended(url: str) -> None:
    assert "nothing was tried yet" in output_of("status", "--store", url)
    assert json.loads(output_of("status", "--store", url, "--json")) is None
    told = output_of("start", "--max-concurrent", "9", "--reason", "more at once?", "--store", url)
    assert "v1 is tried by" in told
    assert "It begins in a moment" in told
    known = json.loads(output_of("status", "--store", url, "--json"))
    assert known["is_running"] is True
    assert known["changes"] == {"max_concurrent": [5, 9]}
    assert known["ends"] - known["starts"] == 300.0
    ended = output_of("end", "--reason", "that is enough", "--store", url)
    assert "v1 was tried by" in ended
    assert "that is enough" in ended
    assert "no experiment is running" in output_of("end", "--store", url, code=1)


@pytest.mark.parametrize(
    ("options", "code", "why"),
    [
        (["--reason", "x"], 1, "there is nothing to compare: the values are the same"),
        (["--reason", "x", "--max-concurrent", "5000"], 2, "max_concurrent must be 1 to 1024"),
        (["--reason", "x", "--max-concurrent", "9", "--expected", "7"], 1, "version 7"),
        (["--max-concurrent", "9"], 2, "--reason"),
        (["--reason", "x", "--max-concurrent", "9", "--minutes", "0.5"], 2, "--minutes"),
    ],
)
def test_what_cannot_be_tried_is_refused_with_the_reason(
    url: str, options: list[str], code: int, why: str
) -> None:
    assert why in output_of("start", *options, "--store", url, code=code)


def test_nothing_is_tried_where_no_manager_would_obey(tmp_path: Path) -> None:
    named = f"sqlite:///{tmp_path / 'empty.db'}"
    open_store(named).close()
    told = output_of("start", "--max-concurrent", "9", "--reason", "x", "--store", named, code=1)
    assert "no manager is running on this store" in told
