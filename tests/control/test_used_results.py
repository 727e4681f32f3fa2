"""A measured system that tells which results it used gets advice on layers, as a manager does."""

from __future__ import annotations

import pytest

from athena_tuning.control import Control
from athena_tuning.model import TuningConfig
from athena_tuning.store import ConfigChange, MemoryStore
from athena_tuning.testing.waiting import until


@pytest.fixture
def store():
    with MemoryStore() as opened:
        yield opened


@pytest.fixture
def control(store):
    with Control(store) as made:
        yield made


def ask(control, n, **used):
    for _ in range(n):
        with control.measure("who owns billing?", "factual") as query:
            for layer in ("semantic", "episodic", "graph"):
                with query.layer(layer) as share:
                    share.result_count = 3
            for layer, results in used.items():
                query.used(layer, results)


def proposed(control):
    """What the tuner that leads would set for the type, once it has told so."""
    told = control.proposals.get("factual")
    return told and told.under(control.tuner.strategy, control.current_config("factual"))


def values(control):
    return control.tuner.contributions.values().get("factual", {})


def test_a_layer_whose_results_are_never_used_is_advised_to_be_left_out(control):
    ask(control, 400, semantic=2, episodic=1)
    seen = values(control)
    assert {name: (value.share.added, value.share.recalls) for name, value in seen.items()} == {
        "semantic": (400, 400),
        "episodic": (400, 400),
        "graph": (0, 400),
    }
    assert seen["semantic"].part.mean == pytest.approx(2 / 3)
    until(lambda: (now := proposed(control)) is not None and now.skipped_layers == {"graph"})
    assert not proposed(control).second_round


def test_all_of_them_used_all_of_them_stay(control):
    ask(control, 400, semantic=1, episodic=1, graph=1)
    until(lambda: proposed(control) is not None)
    assert not proposed(control).skipped_layers


def test_one_left_out_and_asked_nevertheless_was_explored_and_comes_back(control, store):
    change = ConfigChange(
        TuningConfig(skipped_layers={"graph"}), expected_version=0, actor="ana", reason="try", scope="factual"
    )
    store.apply_config(change)
    until(lambda: control.current_config("factual").skipped_layers)
    ask(control, 400, semantic=1, graph=1)
    assert values(control)["graph"].beside.mean == 0.5
    until(lambda: (now := proposed(control)) is not None and not now.skipped_layers)


def test_without_a_word_of_what_was_used_nothing_is_concluded(control):
    ask(control, 50)
    assert values(control) == {}


def test_that_nothing_was_used_can_be_told(control):
    ask(control, 50, semantic=0)
    assert {value.share.recalls for value in values(control).values()} == {50}


def test_a_layer_that_failed_is_not_judged(control):
    for _ in range(10):
        with control.measure("who?", "factual") as query:
            with query.layer("semantic"), query.layer("episodic"):
                pass
            with pytest.raises(OSError, match="down"), query.layer("graph"):
                raise OSError("down")
            query.used("semantic")
    assert set(values(control)) == {"semantic", "episodic"}


def test_a_name_that_was_not_measured_is_told_and_does_not_count(control, caplog):
    ask(control, 1, semantics=1)
    assert values(control) == {}
    assert (
        "used results of 'semantics' and measured no such layer, but semantic, episodic, graph" in caplog.text
    )


def test_after_close_a_query_is_still_measured(store):
    with Control(store, tune=False) as control:
        pass
    ask(control, 5, semantic=1)
    assert values(control) == {}
    assert len(control.profiler.metrics) == 5
