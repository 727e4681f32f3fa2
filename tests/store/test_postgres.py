"""What a PostgreSQL store says when the server is not as it should be, and how it recovers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from athena_tuning.model import QueryMetrics, TuningConfig
from athena_tuning.store import Store, StoreError, open_store
from athena_tuning.store.schema import CURRENT

psycopg = pytest.importorskip("psycopg")
Opened = Callable[..., Store]
Recalls = Callable[..., list[QueryMetrics]]


def apply(store: Store, expected: int) -> Any:
    return store.apply_config(TuningConfig(), expected_version=expected, actor="a", reason="r")


def test_a_server_that_is_not_there_is_named_without_the_password() -> None:
    with pytest.raises(
        StoreError, match=r"postgresql://127\.0\.0\.1/db: the server cannot be reached"
    ) as said:
        open_store("postgresql://me:secret@127.0.0.1:9/db")
    assert "secret" not in str(said.value)


def test_a_url_that_makes_no_sense_is_refused_without_the_password() -> None:
    with pytest.raises(StoreError, match="the URL is not understood") as said:
        open_store("postgresql://me:secret@host/db?colour=blue")
    assert "secret" not in str(said.value)


def test_a_schema_of_somebody_else_is_refused(postgres: Any, postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {postgres.schema}")
        connection.execute(f"CREATE TABLE {postgres.schema}.accounts (id int)")
    with pytest.raises(StoreError, match="belongs to something else"):
        postgres()


def test_a_newer_schema_is_refused_with_both_versions(postgres: Any, postgres_url: str) -> None:
    postgres().close()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"UPDATE {postgres.schema}.schema_version SET version = {CURRENT + 1}")
    with pytest.raises(StoreError, match=rf"version {CURRENT + 1}.*up to {CURRENT}: update it"):
        postgres()


def test_a_user_without_rights_is_told_which(postgres: Any, postgres_url: str) -> None:
    postgres().close()
    role = f"reader_{postgres.schema}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN")
        connection.execute(f"GRANT USAGE ON SCHEMA {postgres.schema} TO {role}")
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {postgres.schema} TO {role}")
    try:
        from athena_tuning.store.postgres import PostgresStore

        reader = PostgresStore(
            psycopg.conninfo.make_conninfo(postgres_url, user=role), schema=postgres.schema
        )
        assert reader.config_set().head == 0
        with pytest.raises(StoreError, match="this user may not; grant it"):
            apply(reader, 0)
        reader.close()
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(f"DROP OWNED BY {role}")
            connection.execute(f"DROP ROLE {role}")


def test_a_failed_write_leaves_nothing_and_the_store_usable(postgres: Any, recalls: Recalls) -> None:
    store = postgres()

    def write_half() -> None:
        with store._database.write() as transaction:
            transaction.run("INSERT INTO annotations (time, text, author) VALUES (?,?,?)", (1.0, "a", "b"))
            transaction.run("INSERT INTO nowhere VALUES (1)")
            transaction.run("INSERT INTO annotations (time, text, author) VALUES (?,?,?)", (2.0, "a", "b"))

    with pytest.raises(StoreError, match="nowhere"):
        write_half()
    assert store.annotations() == []
    store.append_metrics("w", 1, recalls(10))
    assert len(store.tail_metrics().records) == 10


def test_after_the_server_has_cut_all_connections_work_goes_on(
    postgres: Any, postgres_url: str, recalls: Recalls
) -> None:
    store = postgres()
    apply(store, 0)
    assert store.change_token() == "1"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        cut = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'athena_tuning' AND query LIKE %s",
            ("%",),
        ).fetchall()
    assert cut
    failures = 0
    for sequence in range(50):
        try:
            store.append_metrics("w", sequence, recalls(5, seed=sequence))
            break
        except StoreError:
            failures += 1
            threading.Event().wait(0.05)
    assert failures < 50, "the store did not recover"
    assert len(store.tail_metrics().records) == 5
    apply(store, 1)
    assert store.change_token() == "2"


def test_a_config_is_heard_of_without_asking(postgres: Any) -> None:
    writer, hearer = postgres(), postgres()
    listener = hearer._database._listener
    looks = 0
    while listener.head() is None:
        threading.Event().wait(0.005)
        looks += 1
        assert looks < 2000, "the listener never began to hear"
    apply(writer, 0)
    while listener.head() != 1:
        threading.Event().wait(0.005)
        looks += 1
        assert looks < 4000, "the message did not come"


def test_while_the_listener_is_deaf_the_head_is_asked_for(postgres: Any) -> None:
    writer, other = postgres(), postgres()
    apply(writer, 0)
    other._database._listener.close()
    assert other.change_token() == "1"
    apply(writer, 1)
    assert other.change_token() == "2"


def test_the_store_keeps_to_its_schema(postgres: Any, postgres_url: str) -> None:
    postgres()
    with psycopg.connect(postgres_url) as connection:
        found = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", (postgres.schema,)
        ).fetchall()
    assert {"rollups", "segments", "config_versions", "schema_version"} <= {name for (name,) in found}
