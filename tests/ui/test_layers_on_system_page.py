"""What the System page says of the layers of all managers."""

from __future__ import annotations

from athena_tuning.control.layer_health import HealthPost
from athena_tuning.model import BreakerState, LayerHealth
from athena_tuning.service.tuning_service import TuningService
from tests.support.pages import is_sound, visit, words

WHY = "5 calls in a row failed, the last: ConnectionError: <b>no route</b>"


def test_system_page_shows_a_layer_that_is_left_out_first_with_its_reason_as_plain_text(
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
    at = visit("system")
    assert is_sound(at)
    shown = words(at)
    assert f"tickets on w1 is left out: {WHY}" in [text.value for text in at.text]
    assert "web on w1 kept its event loop from turning for 0.5 s at search, line 3" in shown
    for told in ("1,234", "7.50 s", "250 ms"):
        assert f">{told}<" in shown, shown
    assert shown.index(">tickets<") < shown.index(">graph<")


def test_system_page_without_a_manager_says_that_no_layers_are_reported(attached: TuningService) -> None:
    assert "No manager that is alive has reported its layers" in words(visit("system"))
