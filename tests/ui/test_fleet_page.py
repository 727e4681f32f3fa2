"""What the Fleet page says of the managers that share the store."""

from __future__ import annotations

from dataclasses import replace

from athena_tuning.control.layer_health import HealthPost
from athena_tuning.model import BreakerState, LayerHealth, LimitScope, TuningConfig, WorkerStatus
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.store import ConfigChange
from athena_tuning.testing.waiting import until
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


def test_fleet_page_shows_the_shares_of_a_limit_for_all_managers(served: TuningService) -> None:
    assert "Limit 5 for each manager" in words(visit("fleet"))
    store, config = served.store, served.configs().default
    fleet = replace(config.config, max_concurrent=9, limit_scope=LimitScope.FLEET)
    seen = config.version
    store.apply_config(ConfigChange(fleet, expected_version=seen, actor="ana", reason="one backend"))
    [name] = [worker.worker_id for worker in served.workers() if served.is_alive(worker)][:1]
    until(lambda: served.fleet_limit().share(name).wanted is not None)
    assert "Limit 9 for all managers together, shared by demand" in words(visit("fleet"))
    assert served.fleet_limit().share(name).slots == 9
    assert set(served.fleet_limit().to_dict()["shares"]) == {name}
