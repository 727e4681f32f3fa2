"""PostgreSQL with least privileges: the grants in docs/stores.md are enough, and what is missing is named."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from athena_tuning.model import (
    Action,
    Annotation,
    Decision,
    Feedback,
    QueryMetrics,
    TuningConfig,
    WorkerStatus,
)
from athena_tuning.store import ConfigChange, Store, StoreError
from athena_tuning.store.schema import CURRENT, MIGRATIONS

psycopg = pytest.importorskip("psycopg")
Recalls = Callable[..., list[QueryMetrics]]
DOCUMENT = Path(__file__).parents[2] / "docs" / "stores.md"
START = 1_700_000_000.0


@dataclass(frozen=True)
class Granted:
    """A server on which a DBA runs what the document says, with names of the test's own."""

    url: str
    name: str

    def run(self, role: str) -> None:
        """Run the document's block that makes a role."""
        blocks = re.findall(r"```sql\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
        [block] = [block for block in blocks if f"CREATE ROLE athena_{role} " in block]
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(re.sub(r"athena_\w+", lambda rows: f"{rows[0]}_{self.name}", block))

    @property
    def schema(self) -> str:
        return f"athena_tuning_{self.name}"

    def open(self, role: str) -> Store:
        from athena_tuning.store.postgres import PostgresStore

        user = f"athena_{role}_{self.name}"
        url = psycopg.conninfo.make_conninfo(self.url, user=user)
        return PostgresStore(url, schema=self.schema, clock=lambda: START)


@pytest.fixture(params=["postgres_url", "old_postgres_url"], ids=["new", "old"])
def dba(request: pytest.FixtureRequest) -> Iterator[Granted]:
    granted = Granted(request.getfixturevalue(request.param), uuid.uuid4().hex[:10])
    yield granted
    with psycopg.connect(granted.url, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {granted.schema} CASCADE")
        for (role,) in connection.execute(
            "SELECT rolname FROM pg_roles WHERE rolname LIKE %s", (f"athena_%_{granted.name}",)
        ).fetchall():
            connection.execute(f"DROP OWNED BY {role}")
            connection.execute(f"DROP ROLE {role}")


def write_everything(store: Store, recalls: Recalls) -> None:
    """Use every table, upkeep included."""
    store.append_metrics("w", 1, recalls(20))
    store.append_metrics("old", 1, recalls(20, seed=2, start=START - 400 * 86400))
    store.maintain()
    assert len(store.tail_metrics().records) == 20, "what is older than the retention is gone"
    assert store.rollups(START - 60, START + 60, layer="").total().count == 20
    store.apply_config(ConfigChange(TuningConfig(), expected_version=0, actor="a", reason="r"))
    store.append_decision(
        Decision("d", START, "rules", "all", Action.KEEP, TuningConfig(), TuningConfig(), "why", 1)
    )
    store.report_worker(WorkerStatus("w", "host", 1, START, START))
    store.annotate(Annotation(START, "x", "y"))
    store.append_feedback([Feedback("q", 1.0, START)])
    store.post("topic", "key", "text")
    assert store.acquire_lease("tuner", "a", 5.0)
    store.release_lease("tuner", "a")


def read_everything(store: Store) -> None:
    assert store.config_set().head == 1
    assert store.change_token() == "0.1"
    assert len(store.tail_metrics().records) == 20
    assert store.rollups(START - 60, START + 60, layer="").total().count == 20
    for rows in (store.decisions(), store.workers(), store.annotations(), store.feedback()):
        assert len(rows) == 1
    assert store.posted("topic") == {"key": "text"}


@pytest.mark.slow
def test_a_role_that_owns_a_schema_made_by_a_dba_needs_nothing_else(dba: Granted, recalls: Recalls) -> None:
    dba.run("owner")
    for _ in range(2):
        dba.open("owner").close()
    with dba.open("owner") as store:
        write_everything(store, recalls)
        read_everything(store)


@pytest.mark.slow
def test_a_manager_with_the_documented_grants_can_do_everything_but_change_tables(
    dba: Granted, recalls: Recalls
) -> None:
    dba.run("owner")
    dba.open("owner").close()
    dba.run("manager")
    with dba.open("manager") as store:
        write_everything(store, recalls)
        read_everything(store)


@pytest.mark.slow
def test_a_viewer_reads_everything_and_is_told_what_it_may_not(dba: Granted, recalls: Recalls) -> None:
    dba.run("owner")
    with dba.open("owner") as owner:
        write_everything(owner, recalls)
    dba.run("viewer")
    with dba.open("viewer") as store:
        read_everything(store)
        with pytest.raises(StoreError, match="this user may not; grant it USAGE on the schema and SELECT"):
            store.annotate(Annotation(1.0, "x", "y"))


def test_tables_of_a_later_version_are_granted_in_advance(
    dba: Granted, recalls: Recalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    for role in ("owner", "manager", "viewer"):
        dba.run(role)
        dba.open("owner").close()
    later = (*MIGRATIONS, ("CREATE TABLE {schema}later (id BIGINT)",))
    monkeypatch.setattr("athena_tuning.store.postgres_schema.MIGRATIONS", later)
    monkeypatch.setattr("athena_tuning.store.postgres_schema.CURRENT", CURRENT + 1)
    with pytest.raises(
        StoreError, match=rf"of schema version {CURRENT} and become {CURRENT + 1}, but this user may not"
    ):
        dba.open("manager")
    dba.open("owner").close()
    manager: Any = dba.open("manager")
    with manager._database.write() as transaction:
        transaction.run("INSERT INTO main.later VALUES (1)")
    manager.close()
    viewer: Any = dba.open("viewer")
    assert viewer._database.read("SELECT id FROM main.later") == [(1,)]
    viewer.close()


def test_a_role_without_any_grant_is_told_what_it_needs(dba: Granted) -> None:
    with psycopg.connect(dba.url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE athena_nobody_{dba.name} LOGIN")
    with pytest.raises(StoreError, match="let this user own the schema"):
        dba.open("nobody")
    dba.run("owner")
    dba.open("owner").close()
    with pytest.raises(StoreError, match="this user may not; grant it USAGE on the schema"):
        dba.open("nobody")
