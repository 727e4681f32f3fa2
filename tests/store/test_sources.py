"""Where recalls come from, in every store: filtered by it, listed by it, and taken out again."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

import pytest

from athena_tuning.model import QueryMetrics, SourceBatch
from athena_tuning.store import REMOVED, Store, StoreError, sql_rollups
from athena_tuning.store.health import UnreadableRows
from athena_tuning.store.retention import Level
from athena_tuning.store.rollup import COUNTS, KEYS, SUMS
from athena_tuning.store.schema import MIGRATIONS
from athena_tuning.store.sqlite import SqliteStore

Recalls = Callable[..., list[QueryMetrics]]
START = 1_700_000_000.0
MIXED = ("live", "load:r1", "load:r2", "sample:bursty")
EPOCH = next(i for i, step in enumerate(MIGRATIONS) if any("rollups_before" in str(s) for s in step))
"""The version of a store whose roll-ups do not tell sources apart."""


@pytest.fixture
def store(open_it: Callable[..., Store]) -> Store:
    """A new store whose clock is that of the records; each implementation in turn."""
    return open_it(clock=lambda: START + 600)


def of(records: list[QueryMetrics], *sources: str) -> list[QueryMetrics]:
    """Return records whose sources take turns."""
    return [m._replace(source=source) for m, source in zip(records, cycle(sources), strict=False)]


def totals(store: Store, **chosen: Any) -> list[tuple[Any, ...]]:
    table = store.rollups(START - 3600, START + 86400, **chosen).summaries("layer", "query_type")
    return sorted((key, s.count, s.errors, s.hits, round(s.sum_ms, 3), s.p99_ms) for key, s in table.items())


def test_records_and_roll_ups_are_read_by_kind_and_by_batch(store: Store, recalls: Recalls) -> None:
    store.append_metrics("w", 1, of(recalls(400), *MIXED))
    for maintained in (False, True):
        for sources, n in (({"live"}, 100), ({"load"}, 200), ({"load:r2"}, 100), ({"live", "sample"}, 200)):
            total = store.rollups(START, START + 3600, layer="", sources=sources).total()
            assert total.count == len(store.tail_metrics(sources=sources).records) == n, (sources, maintained)
        by_source = store.rollups(START, START + 3600, layer="").summaries("source")
        assert {key[0]: summary.count for key, summary in by_source.items()} == dict.fromkeys(MIXED, 100)
        store.maintain()


def test_batches_are_listed_with_size_and_span_and_live_recalls_are_none(
    store: Store, recalls: Recalls
) -> None:
    assert store.batches() == []
    store.append_metrics("w", 1, recalls(10))
    assert store.batches() == []
    first, then = of(recalls(20), "load:r"), of(recalls(30, seed=2, start=START + 500), "load:r")
    store.append_metrics("w", 2, first)
    store.append_metrics("w", 2, first)  # a retry is not counted twice
    store.append_metrics("w", 3, then)
    store.append_metrics("import-x", 1, of(recalls(5, seed=3, start=START + 1000), "imported:x"))
    span = first[0].timestamp, then[-1].timestamp
    assert store.batches() == [
        SourceBatch("imported:x", 5, START + 1000, START + 1002),
        SourceBatch("load:r", 50, *span),
    ]
    assert [(batch.kind, batch.id) for batch in store.batches()] == [("imported", "x"), ("load", "r")]


@pytest.mark.parametrize("rolled_up", [True, False])
def test_a_batch_that_is_taken_out_leaves_what_would_be_there_without_it(
    store: Store, recalls: Recalls, rolled_up: bool
) -> None:
    mixed = of(recalls(400), *MIXED)
    store.append_metrics("w", 1, mixed[:200])
    store.append_metrics("w", 2, mixed[200:])
    store.append_metrics("sample-bursty", 1, of(recalls(50, seed=4), "sample:bursty"))
    if rolled_up:
        store.maintain()
    rest = {"live", "load"}
    before = totals(store, sources=rest)
    gone = store.remove_batch("sample:bursty")
    assert gone.records == 150
    assert totals(store) == before
    left = [m for m in mixed if m.source != "sample:bursty"]
    assert list(store.tail_metrics().records) == left
    store.maintain()
    assert totals(store) == before
    assert {batch.source for batch in store.batches()} == {"load:r1", "load:r2"}
    assert list(store.posted(REMOVED)) == ["sample:bursty"]
    with pytest.raises(ValueError, match="no batch 'sample:bursty'"):
        store.remove_batch("sample:bursty")


def test_what_was_taken_out_may_come_again_under_the_same_name(store: Store, recalls: Recalls) -> None:
    batch = of(recalls(30), "imported:x")
    store.append_metrics("import-x", 1, batch)
    store.remove_batch("imported:x")
    store.append_metrics("import-x", 1, batch)
    assert list(store.tail_metrics().records) == batch
    assert store.rollups(START, START + 3600, layer="").total().count == 30


def test_a_worker_whose_every_record_was_taken_out_goes_on_delivering(store: Store, recalls: Recalls) -> None:
    store.append_metrics("w", 1, of(recalls(30), "load:r"))
    tail = store.tail_metrics()
    store.remove_batch("load:r")
    store.append_metrics("w", 2, recalls(10, seed=2))
    assert len(store.tail_metrics(tail.cursor).records) == 10
    assert store.rollups(START, START + 3600, layer="").total().count == 10


def test_a_batch_is_taken_out_by_any_handle_and_gone_for_all(
    open_it: Callable[..., Store], recalls: Recalls
) -> None:
    one, other = open_it(clock=lambda: START + 600), open_it(clock=lambda: START + 600)
    one.append_metrics("w", 1, of(recalls(100), "live", "load:r"))
    other.remove_batch("load:r")
    assert len(one.tail_metrics().records) == one.rollups(START, START + 3600, layer="").total().count == 50


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
    columns = (*KEYS[:-1], *COUNTS, *SUMS, "histogram")
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
                (*key, *counts, *sums, blob)
                for key, counts, sums, blob in zip(
                    whole.keys, whole.counts.tolist(), whole.sums.tolist(), whole.blobs(), strict=True
                )
            ],
        )
        transaction.run(version.format(EPOCH))
