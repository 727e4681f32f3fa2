"""Stores to test: in memory, in a SQLite file, in a schema of a real PostgreSQL."""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from athena_tuning.model import LAYERS, QUERY_TYPES, LayerTask, QueryMetrics, TaskOutcome
from athena_tuning.store import MemoryStore, Store
from athena_tuning.store.sqlite import SqliteStore
from tests.support import servers

KINDS = ("memory", "sqlite", "postgres", "pgbouncer")
Opened = Callable[..., Store]


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """A new PostgreSQL: the server that is named, else one of our own out of a wheel."""
    return os.environ.get("ATHENA_TUNING_TEST_POSTGRES") or servers.postgres(servers.NEW)


@pytest.fixture(scope="session")
def old_postgres_url() -> str:
    """An old PostgreSQL: the system's, else the oldest one of the wheel."""
    return servers.postgres(servers.oldest())


@pytest.fixture(scope="session")
def pgbouncer_url(old_postgres_url: str) -> Iterator[str]:
    """PgBouncer in transaction mode before the old PostgreSQL."""
    with servers.pgbouncer(old_postgres_url) as url:
        yield url


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Opened]:
    """Opens the same new schema again and again; it is gone after the test."""
    yield from schema_of(postgres_url, postgres_url)


@pytest.fixture
def old_postgres(old_postgres_url: str) -> Iterator[Opened]:
    """Likewise on an old server."""
    yield from schema_of(old_postgres_url, old_postgres_url)


@pytest.fixture
def pgbouncer(pgbouncer_url: str, old_postgres_url: str) -> Iterator[Opened]:
    """Likewise through a pooler."""
    yield from schema_of(pgbouncer_url, old_postgres_url)


def schema_of(url: str, server: str) -> Iterator[Opened]:
    """Give what opens a new schema by a URL, and take the schema from the server afterwards."""
    psycopg = pytest.importorskip("psycopg")
    from athena_tuning.store.postgres import PostgresStore

    schema = f"test_{uuid.uuid4().hex[:12]}"
    opened: list[Store] = []

    def open_it(**settings: Any) -> Store:
        opened.append(PostgresStore(url, schema=schema, **settings))
        return opened[-1]

    open_it.schema = schema  # type: ignore[attr-defined]
    yield open_it
    for store in opened:
        store.close()
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Opened]:
    """Opens the same new file again and again."""
    opened: list[Store] = []

    def open_it(**settings: Any) -> Store:
        opened.append(SqliteStore(tmp_path / "store.db", **settings))
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


@pytest.fixture
def memory() -> Opened:
    """Opens the same store in memory again and again."""
    opened: list[Store] = []

    def open_it(**settings: Any) -> Store:
        if not opened:
            opened.append(MemoryStore(**settings))
        return opened[0]

    return open_it


@pytest.fixture(params=KINDS)
def open_it(request: pytest.FixtureRequest) -> Opened:
    """Opens handles to one and the same store; each implementation in turn."""
    opened: Opened = request.getfixturevalue(request.param)
    return opened


@pytest.fixture
def store(open_it: Opened) -> Store:
    """A new store; each implementation in turn."""
    return open_it()


@pytest.fixture
def recalls() -> Callable[..., list[QueryMetrics]]:
    """Makes records as a manager would: several types, layers, cache hits, errors, unknowns."""
    return made


def made(n: int, *, seed: int = 1, start: float = 1_700_000_000.0, step: float = 0.5) -> list[QueryMetrics]:
    chance = random.Random(seed)
    return [_recall(f"w{seed}-{i}", start + i * step, chance) for i in range(n)]


def _recall(query_id: str, at: float, chance: random.Random) -> QueryMetrics:
    layers = chance.sample(LAYERS, chance.randint(1, 3))
    hit = chance.random() < 0.3
    tasks = [] if hit else [_task(layer, chance) for layer in layers]
    failed = bool(tasks) and all(task.outcome is not TaskOutcome.OK for task in tasks)
    unknown = chance.random() < 0.05
    return QueryMetrics(
        query_id,
        f"what about {chance.randint(0, 50)}?",
        chance.choice(QUERY_TYPES),
        round(at, 6),
        None if unknown else round(chance.lognormvariate(3, 0.8), 6),
        None,
        None if unknown else hit,
        None if unknown else chance.randint(0, 9),
        [task.layer for task in tasks],
        {task.layer: task.service_ms for task in tasks},
        None if unknown else not failed,
        "graph: gone" if failed else None,
        len(tasks) > 1,
        max(len(tasks), 1),
        tasks=tuple(tasks),
        partial=not failed and any(task.outcome is not TaskOutcome.OK for task in tasks),
        config_version=chance.choice((3, 4)),
    )


def _task(layer: str, chance: random.Random) -> LayerTask:
    outcome = chance.choices(tuple(TaskOutcome), (95, 2, 3))[0]
    times = [round(chance.random(), 6), round(chance.random(), 6), round(chance.lognormvariate(2.5, 0.8), 6)]
    return LayerTask(layer, *times, chance.randint(1, 8), outcome, chance.randint(0, 5))
