"""What every store does with where recalls come from: filtered by it, listed by it, and taken out again."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import pytest

from athena_tuning.model import QueryMetrics, SourceBatch
from athena_tuning.store import REMOVED, Store
from athena_tuning.testing.made_recalls import START, made_recalls
from athena_tuning.testing.store_configs import OpenStore

MIXED = ("live", "load:r1", "load:r2", "sample:bursty")


def of(records: list[QueryMetrics], *sources: str) -> list[QueryMetrics]:
    """Return records whose sources take turns."""
    return [m._replace(source=source) for m, source in zip(records, cycle(sources), strict=False)]


def totals(store: Store, **chosen: Any) -> list[tuple[Any, ...]]:
    """Return what the roll-ups say of layers and types, for a comparison."""
    table = store.rollups(START - 3600, START + 86400, **chosen).summaries("layer", "query_type")
    return sorted((key, s.count, s.errors, s.hits, round(s.sum_ms, 3), s.p99_ms) for key, s in table.items())


class SourcesOfStore:
    """Sources of recalls, and the batches that foreign ones come in."""

    def test_records_and_roll_ups_are_read_by_kind_and_by_batch(self, open_it: OpenStore) -> None:
        store = open_it(clock=lambda: START + 600)
        store.append_metrics("w", 1, of(made_recalls(400), *MIXED))
        for maintained in (False, True):
            for sources, n in (
                ({"live"}, 100),
                ({"load"}, 200),
                ({"load:r2"}, 100),
                ({"live", "sample"}, 200),
            ):
                total = store.rollups(START, START + 3600, layer="", sources=sources).total()
                assert total.count == len(store.tail_metrics(sources=sources).records) == n, (
                    sources,
                    maintained,
                )
            by_source = store.rollups(START, START + 3600, layer="").summaries("source")
            assert {key[0]: summary.count for key, summary in by_source.items()} == dict.fromkeys(MIXED, 100)
            store.maintain()

    def test_batches_are_listed_with_size_and_span_and_live_recalls_are_none(
        self, open_it: OpenStore
    ) -> None:
        store = open_it(clock=lambda: START + 600)
        assert store.batches() == []
        store.append_metrics("w", 1, made_recalls(10))
        assert store.batches() == []
        first, then = (
            of(made_recalls(20), "load:r"),
            of(made_recalls(30, seed=2, start=START + 500), "load:r"),
        )
        store.append_metrics("w", 2, first)
        store.append_metrics("w", 2, first)  # a retry is not counted twice
        store.append_metrics("w", 3, then)
        store.append_metrics("import-x", 1, of(made_recalls(5, seed=3, start=START + 1000), "imported:x"))
        span = first[0].timestamp, then[-1].timestamp
        assert store.batches() == [
            SourceBatch("imported:x", 5, START + 1000, START + 1002),
            SourceBatch("load:r", 50, *span),
        ]
        assert [(batch.kind, batch.id) for batch in store.batches()] == [("imported", "x"), ("load", "r")]

    @pytest.mark.parametrize("rolled_up", [True, False])
    def test_a_batch_that_is_taken_out_leaves_what_would_be_there_without_it(
        self, open_it: OpenStore, rolled_up: bool
    ) -> None:
        store = open_it(clock=lambda: START + 600)
        mixed = of(made_recalls(400), *MIXED)
        store.append_metrics("w", 1, mixed[:200])
        store.append_metrics("w", 2, mixed[200:])
        store.append_metrics("sample-bursty", 1, of(made_recalls(50, seed=4), "sample:bursty"))
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

    def test_what_was_taken_out_may_come_again_under_the_same_name(self, open_it: OpenStore) -> None:
        store = open_it(clock=lambda: START + 600)
        batch = of(made_recalls(30), "imported:x")
        store.append_metrics("import-x", 1, batch)
        store.remove_batch("imported:x")
        store.append_metrics("import-x", 1, batch)
        assert list(store.tail_metrics().records) == batch
        assert store.rollups(START, START + 3600, layer="").total().count == 30

    def test_a_worker_whose_every_record_was_taken_out_goes_on_delivering(self, open_it: OpenStore) -> None:
        store = open_it(clock=lambda: START + 600)
        store.append_metrics("w", 1, of(made_recalls(30), "load:r"))
        tail = store.tail_metrics()
        store.remove_batch("load:r")
        store.append_metrics("w", 2, made_recalls(10, seed=2))
        assert len(store.tail_metrics(tail.cursor).records) == 10
        assert store.rollups(START, START + 3600, layer="").total().count == 10

    def test_a_batch_is_taken_out_by_any_handle_and_gone_for_all(self, open_it: OpenStore) -> None:
        one, other = open_it(clock=lambda: START + 600), open_it(clock=lambda: START + 600)
        one.append_metrics("w", 1, of(made_recalls(100), "live", "load:r"))
        other.remove_batch("load:r")
        assert (
            len(one.tail_metrics().records) == one.rollups(START, START + 3600, layer="").total().count == 50
        )
