"""Where recalls come from, in stores of earlier versions and while records keep coming."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

import pytest

from athena_tuning.model import QueryMetrics
from athena_tuning.store import Store, StoreError, sql_rollups
from athena_tuning.store.health import UnreadableRows
from athena_tuning.store.retention import Level
from athena_tuning.store.rollup import COUNTS, KEYS, SUMS
from athena_tuning.store.schema import MIGRATIONS
from athena_tuning.store.sqlite import SqliteStore

Recalls = Callable[..., list[QueryMetrics]]
START = 1_700_000_000.0
EPOCH = next(i for i, step in enumerate(MIGRATIONS) if any("rollups_before" in str(s) for s in step))
"""The version of a store whose roll-ups do not tell sources apart."""


def of(records: list[QueryMetrics], *sources: str) -> list[QueryMetrics]:
    """Return records whose sources take turns."""
    return [m._replace(source=source) for m, source in zip(records, cycle(sources), strict=False)]


def totals(store: Store, **chosen: Any) -> list[tuple[Any, ...]]:
    table = store.rollups(START - 3600, START + 86400, **chosen).summaries("layer", "query_type")
    return sorted((key, s.count, s.errors, s.hits, round(s.sum_ms, 3), s.p99_ms) for key, s in table.items())


def test_unrolled_records_that_keep_coming_are_refused_in_words(
    sqlite: Callable[..., Store], recalls: Recalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = sqlite()
    store.append_metrics("w", 1, of(recalls(10), "load:r"))
    monkeypatch.setattr("athena_tuning.store.batches.roll_up", lambda *_: None)
    with pytest.raises(StoreError, match="records of load:r keep coming: end the run"):
        store.remove_batch("load:r")
    assert len(store.tail_metrics().records) == 10


@pytest.mark.parametrize("kind", ["sqlite", "postgres", "old_postgres"])
def test_an_older_store_tells_sources_apart_where_it_has_the_records_and_keeps_all_figures(
    request: pytest.FixtureRequest, recalls: Recalls, kind: str
) -> None:
    opened: Callable[..., Store] = request.getfixturevalue(kind)
    now = START + 86400 * 4
    store = opened(clock=lambda: START + 600)
    store.append_metrics("w", 1, of(recalls(300), "live", "sample"))
    store.append_metrics("w", 2, of(recalls(300, seed=2, start=now - 4000), "live", "imported"))
    store.maintain()
    store.append_metrics("w", 3, of(recalls(40, seed=3, start=now - 1000), "imported"))  # not rolled up
    older(store)
    store.close()
    store = opened(clock=lambda: now)
    store.maintain()
    whole = store.rollups(START - 3600, now + 3600, layer="")
    by_source = {key[0]: s.count for key, s in whole.summaries("source").items()}
    assert sum(by_source.values()) == 640
    assert by_source == {"live": 300, "sample": 150, "imported": 190}
    assert {batch.source: batch.records for batch in store.batches()} == {"sample": 150, "imported": 190}


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_what_older_roll_ups_cannot_tell_is_unknown_and_counts_as_before(
    request: pytest.FixtureRequest, recalls: Recalls, kind: str
) -> None:
    opened: Callable[..., Store] = request.getfixturevalue(kind)
    store = opened(clock=lambda: START + 600)
    store.append_metrics("w", 1, of(recalls(300), "live", "sample"))
    store.append_metrics("w", 2, of(recalls(100, seed=2, start=START + 60), "live"))
    store.maintain()
    before = totals(store)
    with store._database.write() as transaction:  # type: ignore[attr-defined]
        transaction.run("DELETE FROM main.segments WHERE sequence = 1")
    older(store)
    store.close()
    store = opened(clock=lambda: START + 600)
    assert totals(store) == before
    by_source = store.rollups(START - 60, START + 600, layer="", level=Level.MINUTE).summaries("source")
    assert {key[0]: s.count for key, s in by_source.items()} == {"unknown": 300, "live": 100}
    assert totals(store, sources={"live", "unknown"}) == before


def older(store: Any) -> None:
    """Make a database what it was before roll-ups told sources apart."""
    is_sqlite = isinstance(store, SqliteStore)
    [create] = [s for s in MIGRATIONS[0] if isinstance(s, str) and "TABLE {schema}rollups" in s]
    dialect = {"schema": "main.", "blob": "BLOB" if is_sqlite else "BYTEA"}
    columns = (*KEYS[:-1], *COUNTS[:-1], *SUMS, "histogram")  # none was refused then
    version = "PRAGMA user_version = {}" if is_sqlite else "UPDATE main.schema_version SET version = {}"
    with store._database.write() as transaction:
        rows = transaction.execute(
            f"SELECT {', '.join((*KEYS, *COUNTS, *SUMS, 'histogram'))} FROM main.rollups"
        )
        table = sql_rollups._table(rows, UnreadableRows("older"))
        whole = table.merged([key[:-1] for key in table.keys])
        transaction.run("DROP TABLE main.rollups")
        for later in ("batches", "decision_evidence"):
            transaction.run(f"DROP TABLE main.{later}")
        transaction.run(create.format(**dialect, compact=" WITHOUT ROWID" if is_sqlite else ""))
        transaction.run_many(
            f"INSERT INTO main.rollups ({', '.join(columns)}) VALUES ({','.join('?' * len(columns))})",
            [
                (*key, *counts[:-1], *sums, blob)
                for key, counts, sums, blob in zip(
                    whole.keys, whole.counts.tolist(), whole.sums.tolist(), whole.blobs(), strict=True
                )
            ],
        )
        transaction.run(version.format(EPOCH))
