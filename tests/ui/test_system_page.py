"""What the System page says of the store."""

from __future__ import annotations

from dataclasses import replace

import pytest

from athena_tuning.model import Feedback, LayerTask, LimitScope, QueryMetrics
from athena_tuning.service import doctor
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.store import ConfigChange, StoreEvent
from athena_tuning.store.findings import act, good
from athena_tuning.testing.waiting import until
from tests.support.pages import is_sound, visit, words


def test_system_page_names_the_store_and_its_newest_event(served: TuningService) -> None:
    at = visit("system")
    assert is_sound(at)
    assert f"{served.store_health().store_id[:8]}, epoch 0" in words(at)
    assert "Newest event" not in words(at)
    for seconds, text in ((9000, "the clock of alpha stepped"), (3600, "the file was <b>deleted</b>")):
        served.store.append_event(StoreEvent(served.now - seconds, "clock", text))
    shown = words(visit("system"))
    assert "Newest event" in shown
    assert "the file was &lt;b&gt;deleted&lt;/b&gt; (60 min ago)" in shown
    assert "alpha" not in shown


def test_system_page_tells_what_is_to_be_done_and_how(
    served: TuningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [good("Python", "as it should be"), act("disk", "nearly <full>", "make room")]
    monkeypatch.setattr(doctor, "examine_open", lambda _: found)
    shown = words(visit("system"))
    assert "nearly &lt;full&gt;" in shown
    assert "make room" in shown
    assert "as it should be" not in shown


def test_system_page_says_that_all_is_well(served: TuningService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "examine_open", lambda _: [good("Python", "fine"), good("disk", "fine")])
    assert "All 2 things that were looked at are as they should be" in words(visit("system"))


def test_system_page_shows_the_shares_of_a_limit_for_all_managers(served: TuningService) -> None:
    assert "Limit 5 for each manager" in words(visit("system"))
    store, config = served.store, served.configs().default
    fleet = replace(config.config, max_concurrent=9, limit_scope=LimitScope.FLEET)
    seen = config.version
    store.apply_config(ConfigChange(fleet, expected_version=seen, actor="ana", reason="one backend"))
    [name] = [worker.worker_id for worker in served.workers() if served.is_alive(worker)][:1]
    until(lambda: served.fleet_limit().share(name).wanted is not None)
    assert "Limit 9 for all managers together, shared by demand" in words(visit("system"))
    assert served.fleet_limit().share(name).slots == 9
    assert set(served.fleet_limit().to_dict()["shares"]) == {name}


def test_system_page_shows_what_leaving_a_layer_out_would_cost_and_save(served: TuningService) -> None:
    records = [
        QueryMetrics(
            f"w-{i}", "who?", "factual", served.now - 60, 30.0, None, False, 3, [*layers], {}, True,
            parallel_execution=True,
            tasks=tuple(LayerTask(name, 0.0, 0.0, ms, 2) for name, ms in layers.items()),
        )
        for i, layers in enumerate([{"<b>": 30.0, "semantic": 10.0}, {"semantic": 10.0}] * 25)
    ]  # fmt: skip
    served.store.append_metrics("w", 1, records)
    served.store.append_feedback(
        [Feedback(m.query_id, 1.0 - i % 2 / 4, served.now) for i, m in enumerate(records)]
    )
    served.tail.look()
    at = visit("system")
    assert is_sound(at)
    shown = words(at)
    assert shown.index("&lt;b&gt;") < shown.rindex(">semantic<")
    assert "0.250 (" in shown
    assert "25 with, 25 without" in shown
    assert "10.0 ms (" in shown


def test_system_page_without_recalls_says_that_no_layer_was_asked(served: TuningService) -> None:
    assert "No recall of this period asked a layer" in words(visit("system"))
