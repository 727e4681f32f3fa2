"""Stores to test: in memory, in a SQLite file, in a schema of a real PostgreSQL."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from athena_tuning.model import QueryMetrics
from athena_tuning.store import MemoryStore, Store
from athena_tuning.store.sqlite import SqliteStore
from athena_tuning.testing.made_recalls import made_recalls
from tests.support import servers

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


@pytest.fixture
def recalls() -> Callable[..., list[QueryMetrics]]:
    """Makes records as a manager would: several types, layers, cache hits, errors, unknowns."""
    return made_recalls
