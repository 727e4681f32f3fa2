"""What a PostgreSQL store says when the server is not as it should be, and how it recovers."""

from __future__ import annotations

import os
import signal
import socket
import struct
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from athena_tuning.model import Annotation, QueryMetrics, TuningConfig
from athena_tuning.store import ConfigChange, Store, StoreError, open_store
from athena_tuning.store.schema import CURRENT, MIGRATIONS
from athena_tuning.testing.waiting import until

psycopg = pytest.importorskip("psycopg")
Opened = Callable[..., Store]
Recalls = Callable[..., list[QueryMetrics]]


def apply(store: Store, expected: int) -> Any:
    return store.apply_config(ConfigChange(TuningConfig(), expected_version=expected, actor="a", reason="r"))


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


def next_schema(monkeypatch: pytest.MonkeyPatch, *statements: str) -> None:
    monkeypatch.setattr("athena_tuning.store.postgres_schema.MIGRATIONS", (*MIGRATIONS, statements))
    monkeypatch.setattr("athena_tuning.store.postgres_schema.CURRENT", CURRENT + 1)


def test_an_older_store_becomes_todays_with_all_it_holds(
    postgres: Any, recalls: Recalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = postgres()
    old.append_metrics("w", 1, recalls(20))
    next_schema(
        monkeypatch,
        "ALTER TABLE {schema}annotations ADD COLUMN colour TEXT",
        "CREATE TABLE {schema}more (id BIGINT)",
    )
    new = postgres()
    assert list(new.tail_metrics().records) == recalls(20)
    assert new._database.read("SELECT colour FROM main.annotations") == []
    assert new._database.read("SELECT version FROM main.schema_version") == [(CURRENT + 1,)]


def test_a_step_that_fails_leaves_the_older_store_as_it_was(
    postgres: Any, recalls: Recalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = postgres()
    old.append_metrics("w", 1, recalls(20))
    with monkeypatch.context() as patched:
        next_schema(patched, "CREATE TABLE {schema}more (id BIGINT)", "INSERT INTO nowhere VALUES (1)")
        with pytest.raises(StoreError, match="nowhere"):
            postgres()
    again = postgres()
    assert list(again.tail_metrics().records) == recalls(20)
    assert again._database.read("SELECT version FROM main.schema_version") == [(CURRENT,)]
    assert again._database.read("SELECT count(*) FROM pg_class WHERE relname = 'more'") == [(0,)]


def test_a_statement_that_takes_too_long_is_an_error_not_a_hang(
    postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = postgres()
    with monkeypatch.context() as patched:
        patched.setattr("athena_tuning.store.postgres_connection.STATEMENT_SECONDS", 0.3)
        with pytest.raises(StoreError, match="it took longer than"), store._database.write() as transaction:
            transaction.execute("SELECT pg_sleep(60)")
        patched.setattr("athena_tuning.store.postgres_connection.CALL_SECONDS", 0.3)
        with pytest.raises(StoreError, match="the server did not answer within"):
            store._database.read("SELECT pg_sleep(60)")
    assert store.config_set().head == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.config_set(),
        lambda store: store.tail_metrics(),
        lambda store: store.annotate(Annotation(1.0, "x", "y")),
        lambda store: store.acquire_lease("tuner", "a", 5.0),
    ],
    ids=["read", "snapshot", "write", "write with an answer"],
)
def test_a_server_that_stands_still_holds_no_call_beyond_its_deadline(
    postgres: Any, postgres_url: str, call: Callable[[Store], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processes that serve the store's connections are stopped: nothing is refused, nothing answers."""
    from athena_tuning.store.postgres import PostgresStore

    postgres().close()
    name = f"still_{postgres.schema}"
    url = psycopg.conninfo.make_conninfo(postgres_url, application_name=name)
    store = PostgresStore(url, schema=postgres.schema)
    assert store.config_set().head == 0
    with psycopg.connect(postgres_url) as connection:
        pids = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = %s", (name,)
        ).fetchall()
    assert pids
    for (pid,) in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        with monkeypatch.context() as patched:
            patched.setattr("athena_tuning.store.postgres_connection.CALL_SECONDS", 0.3)
            with pytest.raises(StoreError, match="the server did not answer within"):
                call(store)
    finally:
        for (pid,) in pids:
            os.kill(pid, signal.SIGCONT)
    assert store.config_set().head == 0
    store.annotate(Annotation(2.0, "after", "y"))
    assert [note.text for note in store.annotations()][-1] == "after"
    store.close()


def test_a_lock_that_somebody_keeps_is_an_error_not_a_hang(
    postgres: Any, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = postgres()
    with psycopg.connect(postgres_url) as holder, monkeypatch.context() as patched:
        patched.setattr("athena_tuning.store.postgres_connection.LOCK_SECONDS", 0.2)
        holder.execute(f"LOCK TABLE {postgres.schema}.annotations IN EXCLUSIVE MODE")
        with pytest.raises(StoreError, match="another session has kept it locked"):
            store.annotate(Annotation(1.0, "x", "y"))
    store.annotate(Annotation(1.0, "x", "y"))
    assert len(store.annotations()) == 1


def test_a_server_that_is_too_old_is_refused_by_its_version(
    postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("athena_tuning.store.postgres_schema.LOWEST", 99)
    with pytest.raises(StoreError, match=r"the server is PostgreSQL \d\d; a store needs 99 or newer"):
        postgres()


@pytest.mark.parametrize("server", ["postgres", "old_postgres"])
def test_columns_that_are_dense_already_are_not_compressed(
    server: str, request: pytest.FixtureRequest
) -> None:
    opened = request.getfixturevalue(server)
    rows = opened()._database.read(
        "SELECT a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ? AND a.attstorage = 'e'",
        (opened.schema,),
    )
    assert sorted(rows) == [("data",), ("data",), ("histogram",)], "segments, evidence, roll-ups"


def test_a_schema_with_signs_in_its_name_is_used_as_it_is(postgres_url: str, recalls: Recalls) -> None:
    from athena_tuning.store.postgres import PostgresStore

    name = f'odd "%s" {uuid.uuid4().hex[:8]}'
    try:
        for _ in range(2):
            with PostgresStore(postgres_url, schema=name) as store:
                store.append_metrics("w", 1, recalls(3))
                assert len(store.tail_metrics().records) == 3
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA {} CASCADE".format('"' + name.replace('"', '""') + '"'))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:se/cret@host/db",
        "postgresql://me:12/cret@host/db",
        "postgresql://me:se@cret@host/db",
        "postgresql://me@cret:cret@host/db",
        "postgresql://me:secret@host:54x32/db",
        "postgresql://me:se%zzcret@host/db",
        "postgresql://host/db?password=secret&colour=blue",
    ],
)
def test_a_url_that_is_not_understood_is_refused_with_no_part_of_it(url: str) -> None:
    with pytest.raises(StoreError, match="the URL is not understood") as said:
        open_store(url)
    for part in ("cret", "zz", "54x32"):
        assert part not in str(said.value)


def test_tls_settings_of_the_url_hold_for_every_connection(postgres: Any, postgres_url: str) -> None:
    """Over a socket file the server is trusted, so that the setting alone can be seen here."""
    from athena_tuning.store.postgres import PostgresStore

    url = psycopg.conninfo.make_conninfo(postgres_url, sslmode="require", sslrootcert="/ca.pem")
    with PostgresStore(url, schema=postgres.schema) as store:
        database: Any = store._database
        for conninfo in (database._pool.conninfo, database._listener._conninfo):
            given = psycopg.conninfo.conninfo_to_dict(conninfo)
            assert (given["sslmode"], given["sslrootcert"]) == ("require", "/ca.pem")


def test_no_password_goes_to_a_server_that_does_not_speak_the_tls_that_the_url_demands() -> None:
    heard: list[bytes] = []

    def answer_without_tls(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            heard.append(connection.recv(1024))
            connection.sendall(b"N")
            while more := connection.recv(1024):
                heard.append(more)

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        thread = threading.Thread(target=answer_without_tls, args=(server,))
        thread.start()
        with pytest.raises(StoreError, match="the server cannot be reached") as said:
            open_store(f"postgresql://me:secret@127.0.0.1:{port}/db?sslmode=require")
        thread.join(30)
    assert "SSL" in str(said.value)
    assert "secret" not in str(said.value)
    assert b"".join(heard) == struct.pack("!ii", 8, 80877103), "more was said than: shall we use TLS?"


def test_rollups_can_be_read_with_plain_sql(postgres: Any, postgres_url: str, recalls: Recalls) -> None:
    store = postgres(clock=lambda: 1_700_000_500.0)
    store.append_metrics("w", 1, recalls(500))
    store.maintain()
    total = store.rollups(1_699_900_000, 1_700_100_000, layer="").total()
    with psycopg.connect(postgres_url) as connection:
        [(count, hits, p99)] = connection.execute(
            f"SELECT sum(count), sum(hits), max(p99_ms) FROM {postgres.schema}.rollups"
            " WHERE seconds = 3600 AND layer = ''"
        ).fetchall()
    assert (count, hits) == (total.count, total.hits)
    assert p99 >= total.p99_ms


def test_more_calls_at_once_than_connections_wait_for_one(postgres: Any, recalls: Recalls) -> None:
    store = postgres()
    with ThreadPoolExecutor(24) as pool:
        list(pool.map(lambda i: store.append_metrics(f"w{i}", 1, recalls(5, seed=i)), range(48)))
    assert len(store.tail_metrics().records) == 48 * 5
    assert store._database._pool.get_stats()["pool_size"] <= 8


def test_a_failed_write_leaves_nothing_and_the_store_usable(postgres: Any, recalls: Recalls) -> None:
    store = postgres()

    def write_half() -> None:
        with store._database.write() as transaction:
            transaction.run(
                "INSERT INTO main.annotations (time, text, author) VALUES (?,?,?)", (1.0, "a", "b")
            )
            transaction.run("INSERT INTO nowhere VALUES (1)")
            transaction.run(
                "INSERT INTO main.annotations (time, text, author) VALUES (?,?,?)", (2.0, "a", "b")
            )

    with pytest.raises(StoreError, match="nowhere"):
        write_half()
    assert store.annotations() == []
    store.append_metrics("w", 1, recalls(10))
    assert len(store.tail_metrics().records) == 10


def test_after_the_server_has_cut_all_connections_work_goes_on(
    postgres: Any, postgres_url: str, recalls: Recalls
) -> None:
    from athena_tuning.store.postgres import PostgresStore

    name = f"cut_{postgres.schema}"  # other tests use the server at the same time
    url = psycopg.conninfo.make_conninfo(postgres_url, application_name=name)
    postgres().close()
    store = PostgresStore(url, schema=postgres.schema)
    apply(store, 0)
    assert store.change_token() == "0.1"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        cut = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
            (name,),
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
    assert store.change_token() == "0.2"
    store.close()


def test_a_config_is_heard_of_without_asking(postgres: Any) -> None:
    writer, hearer = postgres(), postgres()
    listener = hearer._database._listener
    until(lambda: listener.position() is not None)
    apply(writer, 0)
    until(lambda: (listener.position() or (0,))[-1] == 1)


def test_while_the_listener_is_deaf_the_head_is_asked_for(postgres: Any) -> None:
    writer, other = postgres(), postgres()
    apply(writer, 0)
    other._database._listener.close()
    assert other.change_token() == "0.1"
    apply(writer, 1)
    assert other.change_token() == "0.2"


def test_a_config_watch_says_how_it_hears(postgres: Any) -> None:
    store = postgres()
    store.change_token()
    until(lambda: store.health().config_watch == "heard of at once")


def test_the_store_keeps_to_its_schema(postgres: Any, postgres_url: str) -> None:
    postgres()
    with psycopg.connect(postgres_url) as connection:
        rows = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", (postgres.schema,)
        ).fetchall()
    assert {"rollups", "segments", "config_versions", "schema_version"} <= {name for (name,) in rows}


def test_a_database_that_was_restored_from_a_dump_is_noticed_and_obeyed(
    postgres: Any, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    stores = [postgres(), postgres()]
    for expected in range(3):
        apply(stores[0], expected)
    for store in stores:
        until(lambda store=store: store.change_token() == "0.3")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DELETE FROM {postgres.schema}.config_versions WHERE version > 1")
    for store in stores:
        until(lambda store=store: store.change_token() == "1.1")
        assert (store.config_set().head, store.config_set().epoch) == (1, 1)
    assert [event.kind for event in stores[1].events()] == ["restored"]
    apply(stores[0], 1)
    until(lambda: stores[1].change_token() == "1.2")
    said = [record for record in caplog.records if "another or an earlier one" in record.getMessage()]
    assert 1 <= len(said) <= 2, "by who noticed it, and by the other unless it saw the new epoch first"


def test_a_schema_that_was_dropped_is_made_anew_and_what_is_measured_goes_there(
    postgres: Any, postgres_url: str, recalls: Recalls
) -> None:
    store = postgres()
    apply(store, 0)
    store.append_metrics("w", 1, recalls(20))
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA {postgres.schema} CASCADE")

    def delivered() -> bool:
        try:
            store.append_metrics("w", 2, recalls(20))
        except StoreError:
            return False
        return True

    until(delivered)
    assert list(store.tail_metrics().records) == recalls(20), "with the texts"
    until(lambda: store.change_token() == "1.0")
    assert store.config_set().epoch == 1


def test_a_viewer_notices_a_restored_database_without_writing(postgres: Any, postgres_url: str) -> None:
    from athena_tuning.store.postgres import PostgresStore

    owner = postgres()
    apply(owner, 0)
    apply(owner, 1)
    role = f"viewer_{postgres.schema}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN")
        connection.execute(f"GRANT USAGE ON SCHEMA {postgres.schema} TO {role}")
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {postgres.schema} TO {role}")
        try:
            url = psycopg.conninfo.make_conninfo(postgres_url, user=role)
            with PostgresStore(url, schema=postgres.schema) as viewer:
                assert viewer.change_token() == "0.2"
                connection.execute(f"DELETE FROM {postgres.schema}.config_versions WHERE version > 1")
                until(lambda: viewer.change_token() == "1.1")
                assert viewer.config_set().epoch == 1
        finally:
            connection.execute(f"DROP OWNED BY {role}")
            connection.execute(f"DROP ROLE {role}")
