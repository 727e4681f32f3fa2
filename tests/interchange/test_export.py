"""What is exported is imported again: every record, every value, in every format."""

from __future__ import annotations

import csv
import gzip
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from athena_tuning.interchange import Import
from athena_tuning.interchange.export import SUFFIXES, export_records, stored_records
from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome
from athena_tuning.store import MemoryStore

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10)
ms = st.floats(0, 1e9)
counts = st.integers(0, 2**31 - 1)
tasks = st.builds(LayerTask, names, ms, ms, ms, counts, st.sampled_from(TaskOutcome), counts)
records = st.builds(
    QueryMetrics,
    query_id=names,
    query_text=texts,
    query_type=texts,
    timestamp=st.floats(1e-6, 1e10),
    latency_ms=st.none() | ms,
    memory_mb=st.none() | ms,
    cache_hit=st.none() | st.booleans(),
    result_count=st.none() | counts,
    layers_queried=st.lists(names, max_size=3),
    layer_latencies=st.dictionaries(names, ms, max_size=3),
    success=st.none() | st.booleans(),
    error=st.none() | names,
    parallel_execution=st.booleans(),
    concurrency_level=counts,
    accuracy_score=st.just(math.nan) | st.floats(0, 1),
    user_satisfaction=st.none() | st.floats(0, 1),
    tasks=st.lists(tasks, max_size=3).map(tuple),
    partial=st.booleans(),
    config_version=counts,
    source=st.sampled_from(["imported", "sample", "simulated"]),
)


def comparable(m):
    return tuple(None if isinstance(value, float) and math.isnan(value) else value for value in m)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(records, min_size=1, max_size=5, unique_by=lambda m: m.query_id))
def test_what_is_exported_is_imported_again(tmp_path, suffix, given_records):
    path = tmp_path / f"m{suffix}"
    assert export_records(given_records, path) == len(given_records)
    opened = Import(path)
    read = list(opened.records())
    assert opened.report.problems == []
    assert opened.format == "athena"
    assert list(map(comparable, read)) == list(map(comparable, given_records))


def record(n=0, **values):
    fields = {
        "query_text": "tea?",
        "query_type": "factual",
        "timestamp": 1.7e9 + n,
        "latency_ms": 5.0,
        "memory_mb": None,
        "cache_hit": None,
        "result_count": 1,
        "layers_queried": [],
        "layer_latencies": {},
        "success": True,
    }
    return QueryMetrics(query_id=f"q{n}", **fields | values)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_was_live_is_imported_afterwards(tmp_path, suffix):
    export_records([record()], tmp_path / f"m{suffix}")
    assert [m.source for m in Import(tmp_path / f"m{suffix}").records()] == ["imported"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1"])
def test_no_cell_of_a_csv_begins_like_a_formula(tmp_path, text):
    export_records([record(query_text=text, query_type=text, error=text)], tmp_path / "m.csv")
    with (tmp_path / "m.csv").open(newline="") as file:
        row = list(csv.reader(file))[1]
    assert row.count(f"'{text}") == 3
    assert not [cell for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r", "＝"))]
    assert next(Import(tmp_path / "m.csv").records()).query_text == text


def test_a_number_that_is_none_is_written_as_unknown(tmp_path):
    export_records([record(latency_ms=math.nan, memory_mb=math.inf)], tmp_path / "m.jsonl")
    [m] = Import(tmp_path / "m.jsonl").records()
    assert (m.latency_ms, m.memory_mb) == (None, None)


def test_a_row_of_an_export_that_was_changed_by_hand_is_told(tmp_path):
    export_records([record(0), record(1)], tmp_path / "m.csv")
    path = tmp_path / "m.csv"
    path.write_text(path.read_text().replace("5.0", "fast", 1))
    opened = Import(path)
    assert [m.query_id for m in opened.records()] == ["q1"]
    assert "latency_ms must be a number" in opened.report.problems[0].reason


def test_the_same_records_give_the_same_bytes(tmp_path):
    for suffix in SUFFIXES:
        for name in "ab":
            export_records([record(n) for n in range(20)], tmp_path / f"{name}{suffix}")
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    assert gzip.decompress((tmp_path / "a.csv.gz").read_bytes()) == (tmp_path / "a.csv").read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_export_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, suffix):
    path = tmp_path / f"m{suffix}"
    path.write_bytes(b"old")

    def torn():
        yield record()
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        export_records(torn(), path)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [(path.name, b"old")]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_new_export_is_for_its_user_alone_and_one_that_is_there_keeps_its_rights(tmp_path, suffix):
    path = tmp_path / f"m{suffix}"
    export_records([], path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    export_records([], path)
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(NotADirectoryError, match=r"nowhere is not a folder: x\.csv cannot be written there"):
        export_records([], tmp_path / "nowhere" / "x.csv")


def test_an_ending_that_is_no_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"m\.xlsx ends with none of \.csv"):
        export_records([], tmp_path / "m.xlsx")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_can_be_exported(tmp_path, suffix):
    assert export_records([], tmp_path / f"m{suffix}") == 0
    assert (tmp_path / f"m{suffix}").exists()


def test_progress_ends_with_the_count(tmp_path):
    told = []
    export_records((record(n) for n in range(9000)), tmp_path / "m.csv", told.append)
    assert told == [8192, 9000]


def test_the_records_of_a_store_are_chosen_by_time_and_type():
    store = MemoryStore(clock=lambda: 1.7e9)
    for sequence in range(3):
        batch = [
            record(n, query_type="temporal" if n % 2 else "factual")
            for n in range(sequence * 10, sequence * 10 + 10)
        ]
        store.append_metrics("w", sequence, batch)
    assert len(list(stored_records(store))) == 30
    chosen = stored_records(store, since=1.7e9 + 5, until=1.7e9 + 25, query_type="temporal")
    assert [m.timestamp - 1.7e9 for m in chosen] == list(range(5, 25, 2))
