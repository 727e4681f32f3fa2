"""An import into a store is whole, comes once, goes on where it was cut off, and is not lost in the past."""

from __future__ import annotations

import pytest

from athena_tuning.interchange import Import, ImportRefused, store_import
from athena_tuning.interchange.storing import BATCH
from athena_tuning.model.source import kind_of
from athena_tuning.store import MemoryStore, StoreError

NOW = 2_000_000_000.0
ROWS = 2 * BATCH + 10


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("ATHENA_TUNING_HOME", str(tmp_path / "home"))


@pytest.fixture
def store():
    with MemoryStore(clock=lambda: NOW) as opened:
        yield opened


def log(tmp_path, *extra, rows=ROWS):
    path = tmp_path / "log.csv"
    lines = [f"{1_700_000_000 + n},{n % 100}" for n in range(rows)]
    path.write_text("\n".join(["ts,latency_ms", *lines, *extra]) + "\n")
    return path


def brought(file, store, **options):
    return store_import(file, store, clock=lambda: NOW, **options)


def stored(store):
    return list(store.tail_metrics(limit=10**9).records)


def test_all_records_are_stored_and_old_times_are_moved_up_to_now(tmp_path, store):
    came = brought(Import(log(tmp_path)), store)
    records = stored(store)
    assert len(records) == came.report.records == ROWS
    assert {kind_of(m.source) for m in records} == {"imported"}
    assert max(m.timestamp for m in records) == NOW
    assert came.moved_s == NOW - (1_700_000_000 + ROWS - 1)


@pytest.mark.parametrize(("first", "options"), [(NOW - 1000, {}), (1.7e9, {"keep_times": True})])
def test_times_stay_where_they_are_recent_or_are_to_be_kept(tmp_path, store, first, options):
    path = tmp_path / "log.csv"
    path.write_text(f"ts,latency_ms\n{first},5\n")
    assert brought(Import(path), store, **options).moved_s == 0.0
    assert [m.timestamp for m in stored(store)] == [first]


def test_the_same_file_comes_once_unless_it_is_asked_for_again(tmp_path, store):
    path = log(tmp_path, rows=10)
    assert brought(Import(path), store).earlier is None
    assert brought(Import(path), store).earlier == NOW
    assert len(stored(store)) == 10
    assert brought(Import(path), store, again=True).earlier is None
    assert len(stored(store)) == 20


def test_another_mapping_or_another_store_is_another_import(tmp_path, store):
    file = Import(log(tmp_path, rows=10))
    brought(file, store)
    corrected = Import(file.path, file.mapping.corrected(latency_unit="us"))
    assert brought(corrected, store).earlier is None
    with MemoryStore(clock=lambda: NOW) as other:
        assert brought(file, other).earlier is None


class Breaks(MemoryStore):
    """Takes so many batches, then none until it is mended."""

    def __init__(self, batches):
        super().__init__(clock=lambda: NOW)
        self.left = batches

    def append_metrics(self, worker_id, sequence, records):
        if self.left == 0:
            raise StoreError("the disk is full")
        self.left -= 1
        super().append_metrics(worker_id, sequence, records)


@pytest.mark.slow
@pytest.mark.parametrize("batches", [0, 1, 2])
def test_an_import_that_was_cut_off_goes_on_with_the_same_times_and_doubles_nothing(tmp_path, batches):
    store = Breaks(batches)
    path = log(tmp_path)
    with pytest.raises(StoreError, match="disk is full"):
        brought(Import(path), store)
    assert len(stored(store)) == batches * BATCH
    store.left = -1
    came = store_import(Import(path), store, clock=lambda: NOW + 500)
    records = stored(store)
    assert len(records) == ROWS
    assert sorted({m.query_id for m in records}) == sorted(m.query_id for m in records)
    assert max(m.timestamp for m in records) == NOW
    assert came.earlier is None


def test_a_file_that_is_to_be_whole_brings_nothing_if_a_row_is_bad(tmp_path, store):
    with pytest.raises(ImportRefused, match=rf"row {ROWS + 2:,}: ts: no number: 'never'"):
        brought(Import(log(tmp_path, "never,5"), on_bad="refuse"), store)
    assert stored(store) == []
    came = brought(Import(log(tmp_path, "never,5")), store)
    assert (came.report.records, came.report.bad) == (ROWS, 1)


def test_a_file_without_a_query_is_refused_with_the_first_reason(tmp_path, store):
    path = tmp_path / "log.csv"
    path.write_text("timestamp_s,latency_ms\nnever,5\n1700000000,-1\n")
    with pytest.raises(ValueError, match=r"log.csv holds no query that can be read: row 2: .*no number"):
        brought(Import(path), store)


@pytest.mark.slow
def test_progress_goes_over_both_readings(tmp_path, store):
    told = []
    path = log(tmp_path)
    brought(Import(path), store, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert {total for _, total in told} == {2 * path.stat().st_size}
    assert told[-1][0] == told[-1][1]
