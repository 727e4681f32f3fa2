"""The same operation writes the same versions, whoever does it: manager, page or command line."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from athena_tuning.cli import main
from athena_tuning.model import ConfigVersion, Mode, TuningConfig, TuningStrategy
from athena_tuning.recall import MemoryManager
from athena_tuning.samples.sample_workloads import load_records
from athena_tuning.service.embedded import Embedded
from athena_tuning.service.roles import Actor, Role
from athena_tuning.service.store_follower import Tail
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.store import ConfigChange, Store, open_store
from athena_tuning.testing.waiting import until

WHO = "olga"
RECALLS = 300


@dataclass
class World:
    """A store with exceptions and a history, a manager on it, and what it has measured."""

    url: str
    store: Store
    embedded: Embedded

    def told(self) -> int:
        """Return the recalls that the leader's proposal rests on, if it is about the configs in force."""
        proposal = self.store.proposals().get("all")
        return proposal.recalls if proposal and proposal.head == self.store.config_set().head else 0

    @property
    def manager(self) -> MemoryManager:
        return self.embedded.manager


@pytest.fixture
def world(memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name in ("LOGNAME", "USER"):
        monkeypatch.setenv(name, WHO)
    url = f"sqlite:///{tmp_path / 's.db'}"
    with ExitStack() as stack:
        store = stack.enter_context(open_store(url))
        change(store, TuningConfig(6, timeout_seconds=12.0), "all", Mode.PINNED)
        change(store, TuningConfig(7), "all", Mode.ADVISE)
        change(store, TuningConfig(timeout_seconds=7.0, enable_cache=False), "temporal", Mode.ADVISE)
        change(store, TuningConfig(timeout_seconds=9.0), "meta", Mode.PINNED)
        made = World(url, store, stack.enter_context(closing(Embedded(memory, store))))
        for record in load_records("fast", ending_at=time.time() - 1)[-RECALLS:]:
            made.manager.profiler.record_query(record._replace(tasks=(), source="live"))  # the rules conclude
        until(lambda: len(store.tail_metrics().records) == RECALLS)
        until(lambda: made.told() > RECALLS / 2)
        yield made


def change(store: Store, config: TuningConfig, scope: str, mode: Mode) -> None:
    at = store.config_set().in_scope(scope)
    expected = at.version if at else 0
    store.apply_config(
        ConfigChange(config, expected_version=expected, actor="before", reason=scope, scope=scope, mode=mode)
    )


class ByManager:
    def __init__(self, world: World) -> None:
        self.manager = world.manager

    def apply(self, config: TuningConfig, scope: str) -> None:
        at = self.manager.configs.in_scope(scope)
        version = at.version if at else 0
        self.manager.apply_config(config, expected_version=version, actor=WHO, reason="r", scope=scope)

    def switch_strategy(self, strategy: TuningStrategy) -> None:
        self.manager.update_tuning_strategy(strategy, actor=WHO, reason="r")

    def set_mode(self, mode: Mode) -> None:
        self.manager.set_mode(mode, actor=WHO, reason="r")

    def roll_back(self, version: int) -> None:
        self.manager.roll_back(version, actor=WHO, reason="r")

    def undo(self, scope: str) -> None:
        self.manager.undo(actor=WHO, scope=scope)

    def end_exception(self, scope: str) -> None:
        self.manager.end_exception(scope, actor=WHO, reason="r")


class ByService:
    actor = Actor(WHO, Role.OPERATOR)

    def __init__(self, world: World, *, embedded: bool) -> None:
        tail = Tail(world.store)
        tail.look()
        self.service = TuningService(world.store, tail, world.embedded if embedded else None)

    def at(self, scope: str) -> int:
        at = self.service.configs().in_scope(scope)
        return at.version if at else 0

    def apply(self, config: TuningConfig, scope: str) -> None:
        self.service.apply(self.actor, config, expected_version=self.at(scope), reason="r", scope=scope)

    def switch_strategy(self, strategy: TuningStrategy) -> None:
        self.service.switch_strategy(self.actor, strategy, expected_version=self.at("all"), reason="r")

    def set_mode(self, mode: Mode) -> None:
        self.service.set_mode(self.actor, mode, expected_version=self.at("all"), reason="r")

    def roll_back(self, version: int) -> None:
        [past] = [v for v in self.service.history() if v.version == version]
        self.service.roll_back(self.actor, version, expected_version=self.at(past.scope), reason="r")

    def undo(self, scope: str) -> None:
        self.service.undo(self.actor, expected_version=self.at(scope), scope=scope)

    def end_exception(self, scope: str) -> None:
        self.service.end_exception(self.actor, scope, expected_version=self.at(scope), reason="r")


class ByCommand:
    def __init__(self, world: World) -> None:
        self.url = world.url

    def run(self, *arguments: str) -> None:
        done = CliRunner().invoke(main, ["config", *arguments, "--store", self.url, "--json"])
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["author"] == WHO

    def apply(self, config: TuningConfig, scope: str) -> None:
        values = ("--max-concurrent", str(config.max_concurrent), "--timeout", str(config.timeout_seconds))
        self.run("apply", *values, "--scope", scope, "--reason", "r")

    def switch_strategy(self, strategy: TuningStrategy) -> None:
        self.run("apply", "--strategy", strategy.value, "--reason", "r")

    def set_mode(self, mode: Mode) -> None:
        self.run("apply", "--mode", mode.value, "--reason", "r")

    def roll_back(self, version: int) -> None:
        self.run("rollback", str(version), "--reason", "r")

    def undo(self, scope: str) -> None:
        self.run("undo", "--scope", scope)

    def end_exception(self, scope: str) -> None:
        self.run("end", scope, "--reason", "r")


BY: dict[str, Callable[[World], Any]] = {
    "manager": ByManager,
    "page": lambda world: ByService(world, embedded=True),
    "page of another process": lambda world: ByService(world, embedded=False),
    "command": ByCommand,
}

SEVEN = TuningConfig(7)
TEMPORAL = TuningConfig(timeout_seconds=7.0, enable_cache=False)
META = TuningConfig(timeout_seconds=9.0)

Row = tuple[int, str, TuningConfig, Mode, str, int | None]

OPERATIONS: dict[str, tuple[Callable[[Any], None], list[Row]]] = {
    "apply": (
        lambda by: by.apply(TuningConfig(9, timeout_seconds=8.0), "all"),
        [(5, "all", TuningConfig(9, timeout_seconds=8.0), Mode.ADVISE, "r", None)],
    ),
    "make an exception": (
        lambda by: by.apply(TuningConfig(7, timeout_seconds=8.0), "factual"),
        [(5, "factual", TuningConfig(7, timeout_seconds=8.0), Mode.ADVISE, "r", None)],
    ),
    "set mode": (
        lambda by: by.set_mode(Mode.PINNED),
        [
            (5, "all", SEVEN, Mode.PINNED, "r", None),
            (6, "temporal", TEMPORAL, Mode.PINNED, "r", None),
            (7, "meta", META, Mode.PINNED, "r", None),
        ],
    ),
    "roll back": (
        lambda by: by.roll_back(1),
        [(5, "all", TuningConfig(6, timeout_seconds=12.0), Mode.PINNED, "r", 1)],
    ),
    "undo": (
        lambda by: by.undo("all"),
        [(5, "all", TuningConfig(6, timeout_seconds=12.0), Mode.PINNED, "undo of version 2: all", 1)],
    ),
    "redo": (
        lambda by: (by.undo("all"), by.undo("all")),
        [
            (5, "all", TuningConfig(6, timeout_seconds=12.0), Mode.PINNED, "undo of version 2: all", 1),
            (6, "all", SEVEN, Mode.ADVISE, "redo of version 2: all", 2),
        ],
    ),
    "end an exception": (
        lambda by: by.end_exception("temporal"),
        [(5, "temporal", SEVEN, Mode.ADVISE, "r", 0)],
    ),
}


def row(version: ConfigVersion) -> Row:
    return (
        version.version,
        version.scope,
        version.config,
        version.mode,
        version.reason,
        version.restores,
    )


def written(world: World) -> list[Row]:
    return [row(v) for v in reversed(world.store.config_history()) if v.author == WHO]


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_writes_the_same_versions_whoever_does_it(world: World, operation: str, by: str) -> None:
    act, expected = OPERATIONS[operation]
    act(BY[by](world))
    assert written(world) == expected


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize(
    ("strategy", "timeout"),
    [(TuningStrategy.THROUGHPUT, pytest.approx(8.333, abs=0.01)), (TuningStrategy.LATENCY, 5.0)],
)
def test_a_strategy_brings_its_values_whoever_switches_to_it_and_is_undone_as_a_whole(
    world: World, by: str, strategy: TuningStrategy, timeout: float
) -> None:
    BY[by](world).switch_strategy(strategy)
    rows = written(world)
    configs = {scope: config for _, scope, config, *_ in rows}
    assert list(configs) == ["all", "temporal", "meta"]
    assert {config.strategy for config in configs.values()} == {strategy}
    assert configs["all"].timeout_seconds == configs["temporal"].timeout_seconds == timeout
    assert configs["temporal"].enable_cache is False
    assert configs["meta"].timeout_seconds == 9.0, "what is pinned stays"
    limit = configs["all"].max_concurrent
    assert limit >= 8 if strategy is TuningStrategy.THROUGHPUT else 2 <= limit <= 20
    BY[by](world).undo("all")
    assert [config for _, _, config, *_ in written(world)[3:]] == [SEVEN, TEMPORAL, META]


def test_all_see_the_same_values_under_a_strategy(world: World) -> None:
    """The figures, not only their bounds: two askers in turn on one store, with an undo between."""
    versions = []
    for by in BY.values():
        by(world).switch_strategy(TuningStrategy.THROUGHPUT)
        versions.append({scope: config for _, scope, config, *_ in written(world)[-3:]})
        by(world).undo("all")
    assert versions[1:] == versions[:-1]
