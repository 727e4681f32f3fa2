"""What the Fleet page says of the managers that share the store."""

from __future__ import annotations

from athena_tuning.control.layer_health import HealthPost
from athena_tuning.model import BreakerState, LayerHealth, TuningConfig, WorkerStatus
from athena_tuning.service.tuning_service import TuningService
from tests.support.dashboard import OPERATOR, fill
from tests.support.pages import is_sound, visit, words


def report(service: TuningService, name: str, *, seen_ago: float = 1.0, version: int = 0) -> None:
    now = service.now
    service.store.report_worker(
        WorkerStatus(name, "host", 7, now - 3600, now - seen_ago, version, 900, dropped_metrics=3)
    )


def test_fleet_page_lists_managers_that_are_alive_first_with_what_they_carry(attached: TuningService) -> None:
    report(attached, "a-gone", seen_ago=900)
    report(attached, "z-<b>alive")
    HealthPost(attached.store, "z-<b>alive").post(
        [LayerHealth("graph", BreakerState.CLOSED, attached.now, slots_held=2, slots_waiting=4)]
    )
    fill(attached)
    at = visit("fleet")
    assert is_sound(at)
    shown = words(at)
    assert "One manager is alive on the defaults" in shown
    assert shown.index("z-&lt;b&gt;alive") < shown.index("a-gone")
    assert ">2 of 5<" in shown
    assert "1 alive, 1 gone" in shown


def test_fleet_page_says_which_manager_does_not_run_the_newest_config(attached: TuningService) -> None:
    for name in ("early", "late"):
        report(attached, name)
    attached.apply(OPERATOR, TuningConfig(8), expected_version=0, reason="more cores")
    report(attached, "early", version=1)
    shown = words(visit("fleet"))
    assert "1 of 2 managers does not run the newest config yet" in shown
    assert "late: the store could not be read there" in shown


def test_fleet_page_without_a_manager_says_how_to_start_one(attached: TuningService) -> None:
    assert "No manager has reported itself yet" in words(visit("fleet"))
