"""What was learned by question, set and emptied by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result

from athena_tuning.model import EVERY
from athena_tuning.recall import MemoryManager
from athena_tuning.store import Store, open_store
from athena_tuning.testing.waiting import until
from tests.support import command_line

MODEL = {"graph": {EVERY: -0.02, "owns": 0.1}}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store that a manager obeys."""
    url = f"sqlite:///{tmp_path / 's.db'}"
    with open_store(url) as opened, MemoryManager(":memory:", store=opened):
        until(opened.workers)
        yield opened


def applied(store: Store, model: str) -> Result:
    at = ("--scope", "factual", "--question-model", model, "--reason", "by hand", "--store", store.url)
    return command_line.run("config", "apply", *at)


def test_a_model_is_applied_from_a_file_and_emptied_by_none(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "model.json"
    file.write_text(json.dumps(MODEL), "utf-8")
    done = applied(store, str(file))
    assert done.exit_code == 0, done.output
    assert store.config_set().for_type("factual").question_model == MODEL
    assert applied(store, "none").exit_code == 0
    assert store.config_set().for_type("factual").question_model == {}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is no JSON file that can be read"),
        ('{"graph": {"owns": "much"}}', "question_model['graph']['owns'] must be a number"),
        ("[1]", "question_model must have weights by layer"),
    ],
)
def test_a_file_that_is_no_model_is_refused_with_where(
    store: Store, tmp_path: Path, content: str, says: str
) -> None:
    file = tmp_path / "model.json"
    file.write_text(content, "utf-8")
    done = applied(store, str(file))
    assert done.exit_code == 2
    assert says in " ".join(done.output.split())
    assert store.config_set().head == 0
