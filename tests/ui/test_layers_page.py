"""What the Layers page says: how each is, since when, and what it is worth."""

from __future__ import annotations

from athena_tuning.control.layer_health import HealthPost
from athena_tuning.control.posted_memory import MemoryPost
from athena_tuning.model import BreakerState, Feedback, LayerHealth, LayerTask, MemoryHour, QueryMetrics
from athena_tuning.service.tuning_service import TuningService
from tests.support.pages import is_sound, visit, words

WHY = "5 calls in a row failed, the last: ConnectionError: <b>no route</b>"


def test_layers_page_shows_a_layer_that_is_left_out_first_with_its_reason_as_plain_text(
    attached: TuningService,
) -> None:
    since = attached.now - 42
    HealthPost(attached.store, "w1").post(
        [
            LayerHealth("graph", BreakerState.CLOSED, since, calls=900, typical_ms=250.0),
            LayerHealth("tickets", BreakerState.OPEN, since, WHY, 40, 5, 2, 1234, 7.5),
            LayerHealth("web", BreakerState.CLOSED, since, blocks_loop="for 0.5 s at search, line 3"),
        ]
    )
    at = visit("layers")
    assert is_sound(at)
    shown = words(at)
    assert "tickets is left out since" in shown
    assert f"tickets on w1 is left out: {WHY}" in [text.value for text in at.text]
    assert "web on w1 kept its event loop from turning for 0.5 s at search, line 3" in shown
    for told in ("1,234", "7.50 s", "250 ms"):
        assert f">{told}<" in shown, shown
    assert shown.index(">tickets<") < shown.index(">graph<")


def test_layers_page_without_a_manager_says_that_no_layers_are_reported(attached: TuningService) -> None:
    assert "No manager that is alive has reported its layers" in words(visit("layers"))


def test_layers_page_shows_what_layers_took_of_memory_in_the_period(attached: TuningService) -> None:
    assert "No manager has told what its layers took of memory" in words(visit("layers"))
    hour = int(attached.now // 3600) * 3600
    MemoryPost(attached.store, "w1").post(
        [
            MemoryHour(hour - 3600, "graph", 9000),
            MemoryHour(hour, "graph", 2_000_000, 30_000, 10, 5_000_000, 3),
            MemoryHour(hour, "<b>"),
        ]
    )
    at = visit("layers")
    assert is_sound(at)
    shown = words(at)
    for told in ("9.0 kB", "2.0 MB", "3.0 kB", "5.0 MB", "&lt;b&gt;"):
        assert f">{told}<" in shown, shown


def test_layers_page_shows_what_leaving_a_layer_out_would_cost_and_save(served: TuningService) -> None:
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
    at = visit("layers")
    assert is_sound(at)
    shown = words(at)
    assert "&lt;b&gt;" in shown
    assert "0.250 (" in shown
    assert "25 with, 25 without" in shown
    assert "10.0 ms (" in shown


def test_layers_page_without_recalls_says_that_no_layer_was_asked(served: TuningService) -> None:
    assert "No recall of this period asked a layer" in words(visit("layers"))
