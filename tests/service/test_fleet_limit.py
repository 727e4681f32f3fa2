"""What operators see of a limit that several managers share, wherever they look from."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from athena_tuning.control.limit_share import told_shares
from athena_tuning.control.scope_watch import ScopeFinding
from athena_tuning.model import LimitScope, Mode, TuningConfig
from athena_tuning.recall import MemoryManager
from athena_tuning.service.fleet_limit import FleetLimit, fleet_limit
from athena_tuning.store import ConfigChange, open_store
from athena_tuning.testing.waiting import until
from athena_tuning.tuning.estimation.interference import Relation

FLEET = TuningConfig(2, limit_scope=LimitScope.FLEET)


def test_three_managers_on_a_limit_of_two_have_a_slot_each_and_two_operators_see_the_same(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with ExitStack() as opened:
        first, second = (opened.enter_context(open_store(url)) for _ in range(2))
        first.apply_config(ConfigChange(FLEET, expected_version=0, actor="ana", reason="one backend"))
        managers = [
            opened.enter_context(
                MemoryManager(":memory:", store=open_store(url), worker_id=name, mode=Mode.PINNED)
            )
            for name in "abc"
        ]
        until(lambda: set(told_shares(first).by_worker) == set("abc"))
        until(lambda: all(1 <= manager.limit <= 2 for manager in managers))
        seen = [fleet_limit(store, FLEET, 3) for store in (first, second)]
        assert seen[0].sentence == seen[1].sentence
        assert seen[0].shares.keys() == seen[1].shares.keys() == set("abc")
        assert "3 managers are more than slots: each has one" in seen[0].sentence
        wider = TuningConfig(9, limit_scope=LimitScope.FLEET)
        second.apply_config(ConfigChange(wider, expected_version=1, actor="ben", reason="more"))
        until(lambda: told_shares(first).budget == 9 and all(m.limit == 9 for m in managers))
        assert "more than slots" not in fleet_limit(first, wider, 3).sentence


def test_a_manager_that_was_not_told_its_share_is_shown_with_the_floor() -> None:
    assert FleetLimit(LimitScope.FLEET, 8, 2).share("new").slots == 1
    assert FleetLimit(LimitScope.MANAGER, 8, 2).share("new").slots == 8


def test_the_scope_that_fits_better_is_advised_with_the_command_and_why_no_step_is_taken() -> None:
    found = ScopeFinding(
        0.0, LimitScope.MANAGER, LimitScope.FLEET, 2, Relation.SHARED, "tasks take +40 %", "held"
    )
    advice = FleetLimit(LimitScope.MANAGER, 5, 2, finding=found).advice
    assert "slow each other down: tasks take +40 %" in advice
    assert "`athena-tuning config apply --limit-scope fleet`" in advice
    unknown = ScopeFinding(
        0.0, LimitScope.MANAGER, None, 2, Relation.UNKNOWN, "few", "two managers are alive"
    )
    assert (
        FleetLimit(LimitScope.MANAGER, 5, 2, finding=unknown).advice == "No step up: two managers are alive."
    )
    assert not FleetLimit(LimitScope.MANAGER, 5, 2).advice
