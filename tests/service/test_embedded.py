"""The manager inside the dashboard: its sample memory, its demo load, a memory of one's own."""

from __future__ import annotations

from pathlib import Path

from athena_tuning.recall import MemoryManager
from athena_tuning.service.tuning_service import TuningService
from tests.support.dashboard import OPERATOR


def test_the_demo_load_is_seen_started_and_stopped(service: TuningService) -> None:
    assert service.standing().demo is False
    service.set_demo(OPERATOR, True)
    service.set_demo(OPERATOR, True)
    assert service.standing().demo is True
    service.set_demo(OPERATOR, False)
    assert service.standing().demo is False


def test_open_builds_the_sample_memory_once_and_runs_the_demo_load(tmp_path: Path) -> None:
    settings = {
        "ATHENA_TUNING_STORE": f"sqlite:///{tmp_path / 's.db'}",
        "ATHENA_TUNING_MEMORY": str(tmp_path / "m.db"),
    }
    opened = TuningService.open(settings)
    assert opened.standing().demo is True
    assert sum(opened.embedded.manager.counts().values()) > 1000  # type: ignore[union-attr]
    opened.close()
    assert not list(tmp_path.glob(".*building*"))
    quiet = TuningService.open({**settings, "ATHENA_TUNING_DEMO": "0"})
    assert quiet.standing().demo is False
    quiet.close()


def test_a_memory_of_ones_own_gets_no_demo_load(tmp_path: Path) -> None:
    with MemoryManager(tmp_path / "own.db") as manager:
        manager.remember({"id": "1", "layer": "episodic", "text": "mine"})
    opened = TuningService.open(
        {"ATHENA_TUNING_STORE": "memory://", "ATHENA_TUNING_MEMORY": str(tmp_path / "own.db")}
    )
    assert opened.standing().demo is False
    opened.close()
