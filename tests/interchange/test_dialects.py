"""Dialects that nobody plans for: comments, no header, signs in numbers, other clocks, odd shapes of JSON."""

from __future__ import annotations

import json

import pytest

from athena_tuning.interchange import Import


def opened(tmp_path, text):
    path = tmp_path / "log"
    path.write_text(text)
    return Import(path)


def lines(*rows):
    return "".join(f"{json.dumps(row)}\n" for row in rows)


@pytest.mark.parametrize(
    ("head", "column"),
    [
        ("# exported, by hand\n# version 2\nts,took_ms\n", "ts"),
        ("#ts,took_ms\n", "ts"),
        ("\n\nts,took_ms\n", "ts"),
        ("", "column 1"),
    ],
)
def test_comments_are_passed_over_and_columns_without_names_numbered(tmp_path, head, column):
    file = opened(tmp_path, f"{head}1700000000,12.5\n1700000001,5\n")
    assert file.mapping.start == column
    assert [m.timestamp for m in file.records()] == [1.7e9, 1.7e9 + 1]


def test_a_column_is_the_time_by_its_values_where_no_name_says_so(tmp_path):
    file = opened(tmp_path, "7,2024-01-01T00:00:00Z,a\n8,2024-01-01T00:00:01Z,b\n")
    assert (file.mapping.start, file.mapping.time_unit) == ("column 2", "text")
    changes = file.mapping.changes_in(["latency=column 1:us", "query_text=column 3"])
    records = Import(file.path, corrections=changes).records()
    assert [(m.latency_ms, m.query_text) for m in records] == [(0.007, "a"), (0.008, "b")]


@pytest.mark.parametrize(
    ("cell", "ms"),
    [
        ("12,5", 12.5),
        ("1.234,5", 1234.5),
        ('"1,234.5"', 1234.5),
        ("1.234.567", 1_234_567.0),
        ("00:00:01.500", 1500.0),
        ("1.5 s", 1500.0),
    ],
)
def test_durations_are_read_however_they_are_written(tmp_path, cell, ms):
    file = opened(tmp_path, f"ts;latency_ms\n1700000000;{cell}\n")
    assert next(file.records()).latency_ms == ms


@pytest.mark.parametrize("cell", ["127.0.0.1", "1,2,3", "1.2.3", "12 potatoes"])
def test_what_is_no_number_is_not_made_one(tmp_path, cell):
    file = opened(tmp_path, f"ts;latency_ms\n1700000000;{cell}\n")
    assert list(file.records()) == []
    assert "no number" in file.report.problems[0].reason


@pytest.mark.parametrize(
    "written",
    [
        "2024-03-01T10:00:00.123456789+01:00",
        "2024-03-01 09:00:00.123456 UTC",
        "2024/03/01 09:00:00.123456",
        "[01/Mar/2024:09:00:00 +0000]",
        "Fri, 01 Mar 2024 09:00:00 GMT",
    ],
)
def test_written_times_are_read_in_the_forms_that_logs_have(tmp_path, written):
    file = opened(tmp_path, lines({"@timestamp": written}))
    assert file.mapping.time_unit == "text"
    assert int(next(file.records()).timestamp) == 1709283600


def test_a_time_that_could_be_of_two_months_is_not_guessed_and_the_message_shows_it(tmp_path):
    file = opened(tmp_path, "Date,Took (ms)\n03/01/2024 10:00:00 AM,5\n")
    with pytest.raises(
        ValueError, match=r"'Date' is a time by its name, but '03/01/2024 10:00:00 AM' is none"
    ):
        next(file.records())


def test_nanoseconds_as_whole_numbers_and_milliseconds_as_texts_lose_nothing(tmp_path):
    file = opened(tmp_path, lines({"time": 1700000000123456789, "dur": 1_500_000, "op": "get"}))
    assert file.mapping.time_unit == "ns"
    assert next(file.records())[2:4] == ("get", pytest.approx(1700000000.1234567, abs=1e-6))
    file = opened(tmp_path, lines({"timestamp": "1700000000500", "elapsed": "7.5 ms"}))
    assert next(file.records())[3:5] == (1700000000.5, 7.5)


def test_times_inside_objects_are_found_and_objects_are_no_values(tmp_path):
    row = {
        "event": {"time": "2024-01-01T00:00:00Z", "duration": {"ms": 5}},
        "user": {"id": 7},
        "hits": {"total": {"value": 3}},
    }
    file = opened(tmp_path, lines(row, row))
    records = list(file.records())
    assert [(m.latency_ms, m.result_count, m.success) for m in records] == [(5.0, 3, None)] * 2


JAEGER = {
    "traceID": "a",
    "spans": [{"traceID": "a", "spanID": "0", "operationName": "ask", "startTime": 1_700_000_000_000_000}],
}
ZIPKIN = {"traceId": "a", "id": "0", "name": "ask", "timestamp": 1_700_000_000_000_000}
OTLP = {
    "resourceSpans": [
        {"scopeSpans": [{"spans": [{**ZIPKIN, "spanId": "b", "startTimeUnixNano": "1700000000000000000"}]}]}
    ]
}


@pytest.mark.parametrize(
    ("text", "format"),
    [
        (json.dumps({"data": [JAEGER], "total": 0, "errors": None}, indent=2), "jaeger"),
        (json.dumps([JAEGER]), "jaeger"),
        (json.dumps(JAEGER, indent=1), "jaeger"),
        (lines(JAEGER), "jaeger"),
        (json.dumps([ZIPKIN]), "zipkin"),
        (json.dumps([[ZIPKIN]]), "zipkin"),
        (lines(ZIPKIN), "zipkin"),
        (json.dumps(OTLP), "otlp"),
        (json.dumps([OTLP]), "otlp"),
        (lines(OTLP), "otlp"),
    ],
)
def test_traces_are_known_alone_in_a_list_and_on_lines(tmp_path, text, format):
    file = opened(tmp_path, text)
    assert file.format == format
    assert [(m.query_type, m.timestamp, m.latency_ms, m.success) for m in file.records()] == [
        ("ask", 1.7e9, None, None)
    ]


@pytest.mark.parametrize("attribute", ["athena.layer", "layer"])
def test_an_attribute_names_the_layer_of_a_span(tmp_path, attribute):
    def span(own, parent, **more):
        return {"traceId": "a", "id": own, "parentId": parent, "name": "find", "timestamp": 5, **more}

    text = json.dumps([span("1", None), span("2", "1", duration=7, tags={attribute: "semantic"})])
    [record] = opened(tmp_path, text).records()
    assert record.layer_latencies == {"semantic": 0.007}


def test_a_file_whose_rows_are_all_unreadable_says_why(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes("ts,query\n1700000000,Zürich\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"no rows that can be read: row 2: not UTF-8 .*name the encoding"):
        Import(path)
    assert next(Import(path, encoding="latin-1").records()).query_text == "Zürich"


@pytest.mark.parametrize("word", ["latency", "colour=red", "latency=took:parsecs"])
def test_a_correction_that_is_none_is_refused(tmp_path, word):
    file = opened(tmp_path, "ts,took\n1700000000,5\n")
    with pytest.raises(ValueError, match=r"no WHAT=COLUMN|has no colour|'took:parsecs', which is none of"):
        file.mapping.corrected(**file.mapping.changes_in([word])).check(file.columns)
