"""A pooler in transaction mode before PostgreSQL: its two or four server connections serve everybody's calls.

That every method of the contract works through it is shown by the conformance suite; here stands what is
special about it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from athena_tuning.model import QueryMetrics, TuningConfig
from athena_tuning.store import ConfigChange, Store, StoreError, open_store
from athena_tuning.store.postgres import PostgresStore
from athena_tuning.testing.waiting import until
from tests.support import servers

psycopg = pytest.importorskip("psycopg")
Opened = Callable[..., Store]
Recalls = Callable[..., list[QueryMetrics]]


def test_it_is_noticed_and_new_configs_are_asked_for(
    pgbouncer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "athena_tuning.store"):
        writer, reader = pgbouncer(), pgbouncer()
        before = reader.change_token()
        until(lambda: "pooler (PgBouncer)" in reader.health().config_watch)
        writer.apply_config(ConfigChange(TuningConfig(), expected_version=0, actor="a", reason="r"))
        until(lambda: (reader._database._listener.position() or (0,))[-1] == 1)
    assert reader.change_token() != before
    said = [record.getMessage() for record in caplog.records if "PgBouncer" in record.getMessage()]
    assert len(said) == 1, "said once, however often it asks"


@pytest.mark.slow
def test_many_callers_share_few_server_connections_without_an_error(pgbouncer: Any, recalls: Recalls) -> None:
    stores = [pgbouncer() for _ in range(3)]
    errors: Counter[str] = Counter()

    def work(place: int) -> None:
        store = stores[place % 3]
        for turn in range(25):
            try:
                store.workers()
                store.config_set()
                store.decisions(limit=5)
                store.append_metrics(f"w{place}", turn, recalls(3, seed=place))
                store.post("topic", f"{place}-{turn}", "x")
                store.change_token()
                store.tail_metrics(newest=10)
            except StoreError as exc:
                errors[str(exc)] += 1

    with ThreadPoolExecutor(9) as pool:
        list(pool.map(work, range(9)))
    assert not errors
    assert len(stores[0].posted("topic")) == 9 * 25
    assert len(stores[0].tail_metrics().records) == 9 * 25 * 3


def test_nothing_is_left_in_a_server_connection_for_the_next_client(
    pgbouncer: Any, pgbouncer_url: str, recalls: Recalls
) -> None:
    store = pgbouncer()
    for sequence in range(10):
        store.append_metrics("w", sequence, recalls(3))
        store.config_set()
    with psycopg.connect(pgbouncer_url, autocommit=True, prepare_threshold=None) as connection:
        for _ in range(8):
            assert connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
            assert connection.execute("SHOW search_path").fetchone() == ('"$user", public',)
            assert connection.execute("SHOW statement_timeout").fetchone() == ("0",)
            assert connection.execute("SELECT count(*) FROM pg_listening_channels()").fetchone() == (0,)


def test_whatever_search_path_the_role_has_the_tables_are_in_the_schema(
    pgbouncer: Any, old_postgres_url: str
) -> None:
    for _ in range(2):
        pgbouncer()
    with psycopg.connect(old_postgres_url) as connection:
        rows = connection.execute(
            "SELECT nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE relname = 'config_versions' AND nspname IN (%s, 'public')",
            (pgbouncer.schema,),
        ).fetchall()
    assert rows == [(pgbouncer.schema,)]


def test_a_setting_that_the_pooler_refuses_is_named_with_the_way_out(pgbouncer_url: str) -> None:
    with pytest.raises(StoreError, match=r"the pooler .*PgBouncer.* take it out of the URL") as said:
        open_store(f"{pgbouncer_url}?options=-c%20geqo%3Doff")
    assert "ignore_startup_parameters" in str(said.value)


def test_the_same_setting_passes_where_the_pooler_is_told_to_ignore_it(
    old_postgres: Any, old_postgres_url: str
) -> None:
    old_postgres().close()
    with (
        servers.pgbouncer(old_postgres_url, "ignore_startup_parameters = options") as url,
        PostgresStore(f"{url}?options=-c%20geqo%3Doff", schema=old_postgres.schema) as store,
    ):
        assert store.config_set().head == 0
