"""Decisions on the command line: listed, shown, and made again from what was kept with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result

from athena_tuning.model import Mode
from athena_tuning.recall import MemoryManager
from athena_tuning.samples.sample_workloads import load_records
from athena_tuning.store import Store, open_store
from athena_tuning.testing.waiting import until
from tests.support import command_line

AT_ONCE = 700
MOST_BYTES = 300_000


def run(*args: str) -> Result:
    return command_line.run("decision", *args)


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, str]]:
    """A store whose tuner has decided on thousands of recalls, as they came."""
    url = f"sqlite:///{tmp_path_factory.mktemp('decided') / 's.db'}"
    with open_store(url) as store, MemoryManager(":memory:", store=store, mode=Mode.AUTO) as manager:
        records = [m._replace(source="live") for m in load_records("bursty", ending_at=manager._clock())]
        loop = manager._membership.tuner_loop
        for number, first in enumerate(range(0, len(records), AT_ONCE)):
            store.append_metrics("serves", number + 1, records[first : first + AT_ONCE])
            seen = min(first + AT_ONCE, len(records))
            until(lambda seen=seen: manager.tuner.profiler.counters["recorded"] >= seen, 30)  # type: ignore[misc]
            until(lambda: not manager.tuner.is_looking, 30)
        until(lambda: not loop._unrecorded and len(store.decisions()) >= 3, 30)
    with open_store(url) as store:
        yield store, url


def test_every_decision_is_made_again_with_the_same_answer(decided: tuple[Store, str]) -> None:
    store, url = decided
    made = store.decisions()
    assert len(made) >= 3
    for decision in made:
        done = run("show", decision.decision_id, "--replay", "--json", "--store", url)
        told = json.loads(done.stdout)
        assert (done.exit_code, told["replay"]["same"]) == (0, True), (decision.summary, told["replay"])
        assert told["replay"]["evidence_bytes"] <= MOST_BYTES
        assert told["summary"] == decision.summary
    shown = run("show", made[0].decision_id[:8], "--replay", "--store", url)
    assert "the same answer" in shown.stdout
    listed = json.loads(run("list", "--json", "--store", url).stdout)
    assert [row["decision_id"] for row in listed] == [decision.decision_id for decision in made]


def test_another_answer_is_told_with_what_differs(decided: tuple[Store, str]) -> None:
    store, url = decided
    first = store.decisions()[-1]
    other = replace(first, decision_id="changed", summary="said by somebody else")
    store.append_decision(other, store.decision_evidence(first.decision_id))
    done = run("show", "changed", "--replay", "--store", url)
    assert done.exit_code == 1
    assert "another answer: summary" in done.stdout


def test_a_decision_without_evidence_and_one_that_nobody_made_are_refused_in_words(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    open_store(url).close()
    assert "there is no decision 'd7'" in run("show", "d7", "--store", url).stderr
