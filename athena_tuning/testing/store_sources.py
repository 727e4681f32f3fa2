"""What every store does with where recalls come from; see ``stores.py``."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import pytest

from athena_tuning.model import (
    QueryMetrics,
    SourceBatch,
)
from athena_tuning.store import REMOVED, Store
from athena_tuning.testing.made_recalls import START, made_recalls
from athena_tuning.testing.store_configs import OpenStore

MIXED = ("live", "load:r1", "load:r2", "sample:bursty")


def of(records: list[QueryMetrics], *sources: str) -> list[QueryMetrics]:
    """Return records whose sources take turns."""
    return [m._replace(source=source) for m, source in zip(records, cycle(sources), strict=False)]


def totals(store: Store, **chosen: Any) -> list[tuple[Any, ...]]:
    """Return what the roll-ups of a day say, by layer and type."""
    table = store.rollups(START - 3600, START + 86400, **chosen).summaries("layer", "query_type")
    return sorted((key, s.count, s.errors, s.hits, round(s.sum_ms, 3), s.p99_ms) for key, s in table.items())


class SourcesOfStore:
    """Sources as a filter, batches, proposals, and what decisions rest on."""

    @pytest.fixture
    def at_start(self, open_it: OpenStore) -> Store:
        """A new store whose clock is that of the records."""
        return open_it(clock=lambda: START + 600)

    def test_records_and_roll_ups_are_read_by_kind_and_by_batch(self, at_start: Store) -> None:
        at_start.append_metrics("w", 1, of(made_recalls(400), *MIXED))
        for maintained in (False, True):
            for sources, n in (
                ({"live"}, 100),
                ({"load"}, 200),
                ({"load:r2"}, 100),
                ({"live", "sample"}, 200),
            ):
                total = at_start.rollups(START, START + 3600, layer="", sources=sources).total()
                assert total.count == len(at_start.tail_metrics(sources=sources).records) == n, (
                    sources,
                    maintained,
                )
            by_source = at_start.rollups(START, START + 3600, layer="").summaries("source")
            assert {key[0]: summary.count for key, summary in by_source.items()} == dict.fromkeys(MIXED, 100)
            at_start.maintain()

    def test_batches_are_listed_with_size_and_span_and_live_recalls_are_none(self, at_start: Store) -> None:
        assert at_start.batches() == []
        at_start.append_metrics("w", 1, made_recalls(10))
        assert at_start.batches() == []
        first, then = (
            of(made_recalls(20), "load:r"),
            of(made_recalls(30, seed=2, start=START + 500), "load:r"),
        )
        at_start.append_metrics("w", 2, first)
        at_start.append_metrics("w", 2, first)  # a retry is not counted twice
        at_start.append_metrics("w", 3, then)
        at_start.append_metrics("import-x", 1, of(made_recalls(5, seed=3, start=START + 1000), "imported:x"))
        span = first[0].timestamp, then[-1].timestamp
        assert at_start.batches() == [
            SourceBatch("imported:x", 5, START + 1000, START + 1002),
            SourceBatch("load:r", 50, *span),
        ]
        assert [(batch.kind, batch.id) for batch in at_start.batches()] == [("imported", "x"), ("load", "r")]

    @pytest.mark.parametrize("rolled_up", [True, False])
    def test_a_batch_that_is_taken_out_leaves_what_would_be_there_without_it(
        self, at_start: Store, rolled_up: bool
    ) -> None:
        mixed = of(made_recalls(400), *MIXED)
        at_start.append_metrics("w", 1, mixed[:200])
        at_start.append_metrics("w", 2, mixed[200:])
        at_start.append_metrics("sample-bursty", 1, of(made_recalls(50, seed=4), "sample:bursty"))
        if rolled_up:
            at_start.maintain()
        rest = {"live", "load"}
        before = totals(at_start, sources=rest)
        gone = at_start.remove_batch("sample:bursty")
        assert gone.records == 150
        assert totals(at_start) == before
        left = [m for m in mixed if m.source != "sample:bursty"]
        assert list(at_start.tail_metrics().records) == left
        at_start.maintain()
        assert totals(at_start) == before
        assert {batch.source for batch in at_start.batches()} == {"load:r1", "load:r2"}
        assert list(at_start.posted(REMOVED)) == ["sample:bursty"]
        with pytest.raises(ValueError, match="no batch 'sample:bursty'"):
            at_start.remove_batch("sample:bursty")

    def test_what_was_taken_out_may_come_again_under_the_same_name(self, at_start: Store) -> None:
        batch = of(made_recalls(30), "imported:x")
        at_start.append_metrics("import-x", 1, batch)
        at_start.remove_batch("imported:x")
        at_start.append_metrics("import-x", 1, batch)
        assert list(at_start.tail_metrics().records) == batch
        assert at_start.rollups(START, START + 3600, layer="").total().count == 30

    def test_a_worker_whose_every_record_was_taken_out_goes_on_delivering(self, at_start: Store) -> None:
        at_start.append_metrics("w", 1, of(made_recalls(30), "load:r"))
        tail = at_start.tail_metrics()
        at_start.remove_batch("load:r")
        at_start.append_metrics("w", 2, made_recalls(10, seed=2))
        assert len(at_start.tail_metrics(tail.cursor).records) == 10
        assert at_start.rollups(START, START + 3600, layer="").total().count == 10

    def test_a_batch_is_taken_out_by_any_handle_and_gone_for_all(self, open_it: OpenStore) -> None:
        one, other = open_it(clock=lambda: START + 600), open_it(clock=lambda: START + 600)
        one.append_metrics("w", 1, of(made_recalls(100), "live", "load:r"))
        other.remove_batch("load:r")
        assert (
            len(one.tail_metrics().records) == one.rollups(START, START + 3600, layer="").total().count == 50
        )
