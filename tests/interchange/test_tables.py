"""Tables of queries: units are told, mappings are guessed and corrected, what is missing stays unknown."""

from __future__ import annotations

import gzip
import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from athena_tuning.interchange import ColumnMapping, Import
from athena_tuning.interchange.shape import Shape


def table(tmp_path, text, name="log.csv", **options):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Import(path, **options)


def read(opened):
    return list(opened.records())


@pytest.mark.parametrize(
    ("start", "unit"),
    [
        ("1700000000", "s"),
        ("1700000000.5", "s"),
        ("1700000000000", "ms"),
        ("1700000000000000", "us"),
        ("1700000000000000000", "ns"),
    ],
)
def test_the_size_of_a_time_tells_its_unit(tmp_path, start, unit):
    opened = table(tmp_path, f"timestamp,latency_ms\n{start},5\n")
    assert opened.mapping.time_unit == unit
    assert read(opened)[0].timestamp == pytest.approx(1.7e9, abs=1)


@pytest.mark.parametrize(
    ("name", "value", "ms"),
    [
        ("latency_ms", 5, 5),
        ("duration_us", 5000, 5),
        ("took_seconds", 0.005, 5),
        ("elapsedNanos", 5_000_000, 5),
        ("duration", "5ms", 5),
        ("duration", "0 days 00:00:01.500000", 1500),
        ("duration", "1 day 00:00:00.25", 86_400_250),
        ("duration", "PT0.0175S", 17.5),
        ("duration", "P0DT0H1M0.5S", 60_500),
    ],
)
def test_the_name_or_the_value_tells_the_unit_of_a_duration(tmp_path, name, value, ms):
    assert read(table(tmp_path, f"ts,{name}\n1700000000,{value}\n"))[0].latency_ms == pytest.approx(ms)


def test_end_minus_start_tells_the_unit_of_a_duration(tmp_path):
    opened = table(tmp_path, "start,end,duration\n1700000000.0,1700000000.2,200000\n")
    assert opened.mapping.latency_unit == "us"
    assert any("end − start agrees" in note for note in opened.notes)
    assert read(opened)[0].latency_ms == 200.0


@pytest.mark.parametrize(
    ("values", "unit"),
    [(("0.25", "1.5"), "s"), (("12", "900"), "ms"), (("120000", "5000000"), "us"), (("300000000",), "ns")],
)
def test_the_size_of_durations_tells_their_unit_where_nothing_else_does(tmp_path, values, unit):
    rows = "".join(f"1700000000,{value}\n" for value in values)
    assert table(tmp_path, f"ts,latency\n{rows}").mapping.latency_unit == unit


def test_start_and_end_give_the_latency_without_rounding(tmp_path):
    opened = table(tmp_path, "startTimeUnixNano,endTimeUnixNano\n1661141965391007814,1661141965391007815\n")
    assert read(opened)[0].latency_ms == pytest.approx(1e-6)


def test_end_and_duration_give_the_start(tmp_path):
    record = read(table(tmp_path, "end_timestamp,duration\n57.5,57.25\n"))[0]
    assert (record.timestamp, record.latency_ms) == (0.25, 57250.0)


def test_written_times_are_read_and_without_a_zone_are_utc(tmp_path):
    rows = "2023-12-05T12:37:56Z\n2023-12-05 12:37:56\n2023-12-05T13:37:56.123456789+01:00\n"
    records = read(table(tmp_path, f"date\n{rows}"))
    assert [int(record.timestamp) for record in records] == [1701779876] * 3


def test_times_of_a_day_count_from_an_origin_that_can_be_set(tmp_path):
    opened = table(tmp_path, "time,query_us\n03:06:37.241,820\n")
    assert any("origin" in note for note in opened.notes)
    path, mapping = opened.path, opened.mapping.corrected(origin=1700006400)
    record = read(Import(path, mapping))[0]
    assert record.timestamp == pytest.approx(1700006400 + 3 * 3600 + 6 * 60 + 37.241)
    assert record.latency_ms == 0.82


def test_the_first_moment_of_an_unknown_beginning_is_not_now(tmp_path):
    assert 0 < read(table(tmp_path, "start,took_ms\n0,5\n1,5\n"))[0].timestamp < 0.001


def test_what_the_file_does_not_hold_is_unknown_never_zero(tmp_path):
    record = read(table(tmp_path, "ts,type\n1700000000,search\n"))[0]
    assert (
        record.latency_ms
        is record.memory_mb
        is record.cache_hit
        is record.result_count
        is record.success
        is None
    )
    assert math.isnan(record.accuracy_score)
    assert (record.layers_queried, record.layer_latencies, record.source) == ([], {}, "imported")


@pytest.mark.parametrize("empty", ["", "NULL", "n/a", "NaN", "-"])
def test_an_empty_cell_is_unknown(tmp_path, empty):
    opened = table(tmp_path, f"ts,latency_ms,success\n1700000000,{empty},{empty}\n1700000001,5,true\n")
    assert [(m.latency_ms, m.success) for m in read(opened)] == [(None, None), (5.0, True)]


@pytest.mark.parametrize(
    ("column", "cell", "success"),
    [
        ("status", "200", True),
        ("status", "503", False),
        ("status", "404", None),
        ("success", "1", True),
        ("ok", "no", False),
        ("error", "boom", False),
    ],
)
def test_success_is_read_from_flags_and_status_codes(tmp_path, column, cell, success):
    assert read(table(tmp_path, f"ts,{column}\n1700000000,{cell}\n"))[0].success is success


def test_a_correction_replaces_the_guess(tmp_path):
    opened = table(tmp_path, "ts,a,b\n1700000000,7,search\n")
    assert opened.mapping.latency is None
    mapping = opened.mapping.corrected(latency="a", latency_unit="us", query_type="b")
    assert [(m.latency_ms, m.query_type) for m in read(Import(opened.path, mapping))] == [(0.007, "search")]
    assert mapping.corrected(latency="").latency is None


def test_a_mapping_that_does_not_fit_is_refused_by_name(tmp_path):
    opened = table(tmp_path, "ts,a\n1700000000,7\n")
    with pytest.raises(ValueError, match="latency is mapped to 'nope'"):
        read(Import(opened.path, ColumnMapping(start="ts", latency="nope")))
    with pytest.raises(ValueError, match="no column says when a query began"):
        read(table(tmp_path, "a,b\n1,2\n"))
    with pytest.raises(ValueError, match="a mapping has no colour"):
        opened.mapping.corrected(colour="a")
    with pytest.raises(ValueError, match="latency_unit must be one of s, ms, us, ns"):
        opened.mapping.corrected(latency_unit="hours")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_any_usual_delimiter_is_told(tmp_path, delimiter):
    text = f"ts{delimiter}took_ms{delimiter}query\n1700000000{delimiter}5{delimiter}tea?\n"
    assert [(m.latency_ms, m.query_text) for m in read(table(tmp_path, text))] == [(5.0, "tea?")]


def test_quoted_cells_may_hold_lines_and_delimiters(tmp_path):
    opened = table(tmp_path, 'ts,query\n1700000000,"one,\ntwo"\n1700000001,three\n')
    assert [m.query_text for m in read(opened)] == ["one,\ntwo", "three"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_tells_the_encoding(tmp_path, encoding):
    opened = table(tmp_path, "ts,query\n1700000000,Zürich\n".encode(encoding))
    assert opened.columns == ("ts", "query")
    assert read(opened)[0].query_text == "Zürich"


def test_another_encoding_can_be_named(tmp_path):
    assert (
        read(table(tmp_path, "ts,query\n1700000000,Zürich\n".encode("latin-1"), encoding="latin-1"))[
            0
        ].query_text
        == "Zürich"
    )


def test_json_lines_with_values_inside_objects_are_mapped_with_dots(tmp_path):
    line = {
        "time": "2023-12-05T12:37:56Z",
        "http": {"status": 503},
        "timing": {"duration_us": 1500},
        "query": "tea?",
    }
    opened = table(tmp_path, json.dumps(line) + "\n\n" + json.dumps(line), "a.jsonl")
    assert opened.shape is Shape.JSONL
    mapping = opened.mapping.corrected(success="http.status", latency="timing.duration_us", latency_unit="us")
    assert [(m.latency_ms, m.success) for m in read(Import(opened.path, mapping))] == [(1.5, False)] * 2


def test_layers_are_read_from_an_object_a_list_or_columns_of_their_own(tmp_path):
    rows = [
        {"ts": 1.7e9, "layers": {"semantic": 1.5, "graph": None}},
        {"ts": 1.7e9, "layers": ["semantic", "graph"]},
        {"ts": 1.7e9, "layers": '{"semantic": 2}'},
    ]
    opened = table(tmp_path, "\n".join(map(json.dumps, rows)), "a.jsonl")
    expected = [
        (["semantic", "graph"], {"semantic": 1.5}),
        (["semantic", "graph"], {}),
        (["semantic"], {"semantic": 2.0}),
    ]
    assert [(m.layers_queried, m.layer_latencies) for m in read(opened)] == expected
    opened = table(tmp_path, "ts,latency_ms,semantic_us,graph_us\n1700000000,5,1500,\n")
    assert [(m.layers_queried, m.layer_latencies) for m in read(opened)] == [
        (["semantic"], {"semantic": 1.5})
    ]


def test_rows_with_other_columns_are_read_as_far_as_they_go(tmp_path):
    rows = [{"ts": 1.7e9, "latency_ms": 5}, {"ts": 1.7e9, "other": 1}, {"when": 1.7e9}]
    opened = table(tmp_path, "\n".join(map(json.dumps, rows)), "a.jsonl")
    assert [m.latency_ms for m in read(opened)] == [5.0, None]
    assert [(p.row, p.reason) for p in opened.report.problems] == [(3, "no time: when it began is unknown")]


@pytest.mark.parametrize("wrap", [lambda rows: rows, lambda rows: {"took": 3, "items": rows}])
def test_a_json_list_is_a_table_wherever_it_is(tmp_path, wrap):
    rows = [{"ts": 1.7e9, "latency_ms": 5}, {"ts": 1.7e9 + 1, "latency_ms": 6}]
    opened = table(tmp_path, json.dumps(wrap(rows)), "a.json")
    assert opened.shape is Shape.JSON
    assert [m.latency_ms for m in read(opened)] == [5.0, 6.0]


def test_parquet_brings_its_own_types(tmp_path):
    path = tmp_path / "a.parquet"
    start = pa.array([1_700_000_000_250_000], pa.timestamp("us", tz="UTC"))
    pq.write_table(pa.table({"start": start, "latency": [7.5], "success": [True], "unused": [[1, 2]]}), path)
    opened = Import(path)
    assert [(m.timestamp, m.latency_ms, m.success) for m in read(opened)] == [(1700000000.25, 7500.0, True)]
    corrected = Import(path, opened.mapping.corrected(latency_unit="ms"))
    assert read(corrected)[0].latency_ms == 7.5


def test_parquet_map_of_times_by_layer_is_read(tmp_path):
    path = tmp_path / "a.parquet"
    layers = pa.array([[("semantic", 4.0), ("graph", 2.5)], None, []], pa.map_(pa.string(), pa.float64()))
    columns = {"ts": [1.7e9, 1.7e9 + 1, 1.7e9 + 2], "latency_ms": [5.0, 6.0, 7.0], "layer_latencies": layers}
    pq.write_table(pa.table(columns), path)
    read_back = [record.layer_latencies for record in read(Import(path))]
    assert read_back == [{"semantic": 4.0, "graph": 2.5}, {}, {}]


def test_parquet_map_whose_keys_are_no_names_is_left_out_with_its_rows_in_words(tmp_path):
    path = tmp_path / "a.parquet"
    kind = pa.map_(pa.struct([("a", pa.int64())]), pa.float64())
    layers = pa.array([[({"a": 1}, 4.0)]], kind)
    pq.write_table(pa.table({"ts": [1.7e9], "latency_ms": [5.0], "layer_latencies": layers}), path)
    opened = Import(path)
    assert list(opened.records()) == []
    assert "layers are times by name" in opened.report.problems[0].reason


def test_gzip_is_unpacked_whatever_the_name(tmp_path):
    assert len(read(table(tmp_path, gzip.compress(b"ts\n1700000000\n"), "a.bin"))) == 1


def test_rows_that_are_spans_become_queries_with_layers(tmp_path):
    text = "trace_id,span_id,parent_id,name,start_us,duration_us\nt,1,,ask,1700000000000000,5000\n" + (
        "t,2,1,semantic,1700000000001000,2000\nt,3,1,graph,1700000000002000,2500\n"
    )
    record = read(table(tmp_path, text))[0]
    assert (record.query_id, record.query_type, record.latency_ms) == ("t", "ask", 5.0)
    assert record.layer_latencies == {"semantic": 2.0, "graph": 2.5}
    assert (record.parallel_execution, record.concurrency_level) == (True, 2)


def test_a_preview_shows_the_first_records_and_reads_no_more(tmp_path):
    opened = table(tmp_path, "ts\n" + "1700000000\n" * 5 + "never\n")
    records, problems = opened.preview(3)
    assert (len(records), problems) == (3, [])
    assert opened.report.records == 0


def test_progress_grows_to_the_size_of_the_file(tmp_path):
    opened = table(tmp_path, "ts\n" + "1700000000\n" * 10_000)
    told = []
    list(opened.records(lambda done, size: told.append((done, size))))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (opened.path.stat().st_size,) * 2
