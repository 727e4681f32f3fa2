"""What is odd about a file is said before it is stored, and a unit that two readings fit is asked."""

from __future__ import annotations

import json
import re
from datetime import date, time, timedelta
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from athena_tuning.interchange import Import, NeedsConfirmation, store_import
from athena_tuning.store import MemoryStore

NOW = 1_795_000_000.0
BEGIN = 1_790_000_000


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("ATHENA_TUNING_HOME", str(tmp_path / "home"))


def table(tmp_path, head, rows, **options):
    path = tmp_path / "log.csv"
    path.write_text("\n".join([head, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return Import(path, **options)


def doubts(opened, now=NOW):
    return {doubt.about: str(doubt) for doubt in opened.doubts(opened.survey(), now)}


def test_a_sound_table_is_not_doubted(tmp_path):
    opened = table(tmp_path, "ts,latency_ms,success", [(BEGIN + n, 50 + n % 9, "true") for n in range(100)])
    assert doubts(opened) == {}


@pytest.mark.parametrize(
    ("head", "row", "about", "said"),
    [
        ("ts,latency_s", lambda n: (BEGIN + n / 20, 51 + n % 7), "at once", "1,0.. requests at once"),
        ("ts,latency_s", lambda n: (BEGIN + n / 100, 5), "at once", "half of the requests take 5.0 s"),
        ("ts,latency_ms", lambda n: (BEGIN + n, "" if n % 4 else 5), "latency unknown", "75 of 100"),
        ("ts,op", lambda n: (BEGIN + n, "a"), "latency unknown", "100 of 100 requests have no latency"),
        ("ts,latency_ms", lambda n: (BEGIN, 5), "length", "begin at the same moment"),
        ("ts,latency_ms", lambda n: (BEGIN - n * 1_000_000, 5), "length", "span 1,146 days"),
        ("start_s,latency_ms", lambda n: (n, 5), "before 2000", "1970-01-01"),
        ("ts,latency_ms", lambda n: (NOW + n * 60, 5), "ahead of now", "ahead of now"),
        ("ts,latency_ms,status", lambda n: (BEGIN + n, 5, "error" if n < 5 else "?"), "one-sided success",
         "5 of 100 requests failed"),
        ("ts,latency_ms,id", lambda n: (BEGIN + n, 5, n % 80), "repeated ids", "20 of 100 rows have an id"),
        ("ts,latency_ms,p99", lambda n: (BEGIN + n, 5, 7), "summaries", "'p99': if rows are summaries"),
    ],
)  # fmt: skip
def test_what_cannot_well_be_true_is_doubted(tmp_path, head, row, about, said):
    opened = table(tmp_path, head, map(row, range(100)))
    seen = doubts(opened)
    assert about in seen
    assert re.search(said, seen[about]), seen[about]


def test_what_is_odd_is_stored_only_when_somebody_says_that_it_is_right(tmp_path):
    opened = table(tmp_path, "ts,latency_s", [(BEGIN + n / 20, 51) for n in range(300)])
    with MemoryStore(clock=lambda: NOW) as store:
        with pytest.raises(NeedsConfirmation, match="requests at once") as asked:
            store_import(opened, store, clock=lambda: NOW)
        assert [doubt.about for doubt in asked.value.doubts] == ["at once"]
        assert list(store.tail_metrics().records) == []
        came = store_import(opened, store, clock=lambda: NOW, confirmed=True)
        assert came.report.records == len(store.tail_metrics().records) == 300
        assert came.batch.startswith("log-csv-")


def test_a_duration_whose_unit_two_readings_fit_is_asked_and_the_answer_is_taken(tmp_path):
    opened = table(tmp_path, "ts,took", [(BEGIN + n, 1500 + n % 5) for n in range(100)])
    [question] = opened.questions
    assert (question.setting, question.column) == ("latency_unit", "took")
    assert list(question.readings) == ["ms", "us"]
    assert "unit" in doubts(opened)
    for unit, ms in (("ms", 1500.0), ("us", 1.5)):
        answered = Import(opened.path, corrections={"latency": "took", "latency_unit": unit})
        assert answered.questions == ()
        assert "unit" not in doubts(answered)
        assert next(answered.records()).latency_ms == ms


def test_a_unit_that_only_one_reading_fits_is_not_asked(tmp_path):
    rows = [(BEGIN + n / 21, 51_000_000 + n) for n in range(300)]
    opened = table(tmp_path, "ts,took", rows)
    assert (opened.mapping.latency_unit, opened.questions) == ("ns", ())
    assert any("only that fits their median and 21 rows a second" in note for note in opened.notes)


def test_milliseconds_from_an_unknown_beginning_are_asked_not_taken_for_seconds(tmp_path):
    rows = [(n * 295, 5 + n % 3) for n in range(500)]
    opened = table(tmp_path, "time,latency_ms", rows)
    [question] = opened.questions
    assert question.setting == "time_unit"
    assert {"s", "ms"} <= question.readings.keys()
    answered = Import(opened.path, corrections={"start": "time", "time_unit": "ms"})
    seen = doubts(answered)
    assert "unit" not in seen
    assert "before 2000" in seen
    placed = Import(opened.path, corrections={"start": "time", "time_unit": "ms", "origin": BEGIN})
    assert doubts(placed) == {}
    assert next(placed.records()).timestamp == BEGIN


def test_durations_of_parquet_bring_their_unit(tmp_path):
    path = tmp_path / "a.parquet"
    took = [timedelta(milliseconds=51, microseconds=n) for n in range(100)]
    for unit in ("s", "ms", "us", "ns"):
        start = pa.array([(BEGIN + n) * 10**9 for n in range(100)], pa.timestamp("ns", "UTC"))
        values = took if unit in ("us", "ns") else [timedelta(seconds=2)] * 100
        pq.write_table(pa.table({"at": start, "elapsed": pa.array(values, pa.duration(unit))}), path)
        opened = Import(path)
        assert (opened.mapping.latency, opened.questions) == ("elapsed", ())
        assert any("has it as its type" in note for note in opened.notes)
        first = next(opened.records())
        assert (first.timestamp, first.latency_ms) == (BEGIN, 51.0 if unit in ("us", "ns") else 2000.0)
        assert doubts(opened) == {}


def test_a_unit_against_the_schema_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    took = pa.array([timedelta(seconds=1)], pa.duration("s"))
    pq.write_table(pa.table({"ts": [float(BEGIN)], "elapsed": took}), path)
    with pytest.raises(ValueError, match="'elapsed' brings its unit in the file's schema: us cannot be it"):
        Import(path, corrections={"latency": "elapsed", "latency_unit": "us"})


def test_dates_decimals_and_times_of_day_of_parquet_are_read(tmp_path):
    path = tmp_path / "a.parquet"
    columns = {"date": [date(2026, 9, 21)], "latency_ms": [Decimal("51.5")], "clock": [time(3, 6, 37)]}
    pq.write_table(pa.table(columns), path)
    record = next(Import(path).records())
    assert (record.timestamp, record.latency_ms) == (1_789_948_800.0, 51.5)
    opened = Import(path, corrections={"start": "clock"})
    assert next(opened.records()).timestamp == 3 * 3600 + 6 * 60 + 37


def test_an_error_column_alone_tells_of_successes_too(tmp_path):
    rows = [(BEGIN + n, 5, "boom" if n < 14 else "") for n in range(300)]
    opened = table(tmp_path, "ts,latency_ms,error", rows)
    records = list(opened.records())
    assert sum(m.success is True for m in records) == 286
    assert sum(m.success is False for m in records) == 14
    assert doubts(opened) == {}


@pytest.mark.parametrize("cell", ["false", "0", "None", "null", "-", "no"])
def test_an_error_that_says_that_there_is_none_is_no_failure(tmp_path, cell):
    [record] = table(tmp_path, "ts,latency_ms,error", [(BEGIN, 5, cell)]).records()
    assert (record.success, record.error) == (True, None)


def test_an_id_of_a_kind_of_event_is_not_taken_for_an_id(tmp_path):
    opened = table(tmp_path, "ts,latency_ms,EventId", [(BEGIN + n, 5, f"E{n % 43}") for n in range(2000)])
    assert opened.mapping.query_id is None
    assert len(list(opened.records())) == 2000
    assert any("comes again and again" in note for note in opened.notes)


def test_large_ids_and_counts_are_no_times(tmp_path):
    rows = [(1_790_000_000_000_000_000 + n, 5) for n in range(10)]
    opened = table(tmp_path, "statement_key,latency_ms", rows)
    with pytest.raises(ValueError, match="no column says when a query began"):
        next(opened.records())


def test_a_request_time_that_is_a_duration_is_no_start(tmp_path):
    path = tmp_path / "log.jsonl"
    row = {"logged": "2026-09-21T10:00:00Z", "request_time": "0.125"}
    path.write_text("".join(f"{json.dumps(row)}\n" for _ in range(5)))
    opened = Import(path)
    assert opened.mapping.start != "request_time"
    assert opened.mapping.latency == "request_time"


@pytest.mark.parametrize(
    ("heading", "cell", "asked"),
    [
        ("ts;latency_ms", "1,234", True),
        ("ts;latency_ms", "0,234", False),
        ("ts;latency_ms", "1,5", False),
        ("ts;latency_ms", "1,234,567", False),
        ("ts;latency_ms;rows", "5;1,234", True),
    ],
)
def test_a_comma_before_three_digits_is_asked_about_unless_others_tell(tmp_path, heading, cell, asked):
    path = tmp_path / "log.csv"
    path.write_text(f"{heading}\n" + "".join(f"{BEGIN + n};{cell}\n" for n in range(30)))
    assert ("decimal sign" in doubts(Import(path))) is asked


def test_the_time_of_a_request_is_not_that_of_the_server_behind_it(tmp_path):
    path = tmp_path / "access.log"
    head = '10.0.0.1 - - [21/Sep/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 9 "-" "agent 9.999"'
    path.write_text(f"{head} 0.250 0.200\n{head} 0.300 -\n{head} 1790000000.123 0.100 0.350\n")
    assert [m.latency_ms for m in Import(path).records()] == pytest.approx([250, 300, 350])
