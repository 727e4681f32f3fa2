"""A real manager over a small memory, a real store, and the dashboard's service over both."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from athena_tuning.model import Proposal, QueryMetrics
from athena_tuning.samples.sample_workloads import load_records
from athena_tuning.service.embedded import Embedded, build_memory
from athena_tuning.service.roles import Actor, Role
from athena_tuning.service.store_follower import Tail
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.store import open_store
from athena_tuning.testing.waiting import until

OPERATOR = Actor("olga", Role.OPERATOR)
VIEWER = Actor("vic", Role.VIEWER)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep load runs and notes of imports where the test is."""
    monkeypatch.setenv("ATHENA_TUNING_HOME", str(tmp_path))


@pytest.fixture(scope="session")
def sample_memory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample memory, built once."""
    path = tmp_path_factory.mktemp("memory") / "memory.db"
    build_memory(path)
    return path


@pytest.fixture
def memory(sample_memory: Path, tmp_path: Path) -> Path:
    """A memory of the test's own, marked as the sample memory."""
    own = tmp_path / "memory.db"
    shutil.copy(sample_memory, own)
    own.with_name(f"{own.name}.sample").touch()
    return own


@pytest.fixture
def service(memory: Path, tmp_path: Path) -> Iterator[TuningService]:
    """A service over a manager of its own; nothing runs on it, and the window is looked at by the test."""
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    opened = TuningService(store, Tail(store), Embedded(memory, store))
    yield opened
    opened.close()


def told(service: TuningService, recalls: int) -> Proposal:
    """Wait until the tuner that leads has told a proposal for the configs in force, on so many recalls."""

    def tells() -> bool:
        proposal = service.proposal()
        return (
            proposal is not None
            and proposal.recalls >= recalls
            and proposal.head == service.configs().head
            and (proposal.in_force is not None or proposal.current.decision.policy == "rules")
        )

    until(tells, 30)
    proposal = service.proposal()
    assert proposal is not None
    return proposal


def fill(service: TuningService, name: str = "mixed", at_most: int = 1200) -> list[QueryMetrics]:
    """Let a recorded workload arrive as what another manager measured, and take it into the window."""
    records = [m._replace(source="live") for m in load_records(name, ending_at=service.now - 1)[-at_most:]]
    service.store.append_metrics(f"recorded-{name}", 1, records)
    service.tail.look()
    return records
