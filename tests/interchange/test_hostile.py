"""Files that are broken or mean harm: a clear message with the row, and nothing half-imported."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from athena_tuning.interchange import Import, ImportRefused, Limits

GOOD = "1700000000,5\n"


def imported(tmp_path, content, **options):
    path = tmp_path / "file"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Import(path, **options)


def problems(opened):
    list(opened.records())
    return [(p.row, p.reason) for p in opened.report.problems]


def test_bad_rows_are_told_by_number_and_the_rest_loads(tmp_path):
    rows = [
        "1700000000,5",
        "yesterday,5",
        "1700000001,fast",
        "1700000002,-5",
        "1700000003",
        "1700000004,5,6",
        "1700000005,7",
    ]
    opened = imported(tmp_path, "ts,latency_ms\n" + "\n".join(rows))
    assert [m.latency_ms for m in opened.records()] == [5.0, 7.0]
    assert [p.row for p in opened.report.problems] == [3, 4, 5, 6, 7]
    reasons = " | ".join(p.reason for p in opened.report.problems)
    for part in (
        "ts: no number: 'yesterday'",
        "latency_ms: no number: 'fast'",
        "below 0",
        "has 1 cells, the header 2",
    ):
        assert part in reasons


def test_refusing_gives_nothing_of_a_file_with_one_bad_row(tmp_path):
    opened = imported(tmp_path, "ts,latency_ms\n" + GOOD * 5000 + "never,5\n", on_bad="refuse")
    with pytest.raises(ImportRefused, match=r"row 5,002: ts: no number: 'never'") as refused:
        next(opened.records())
    assert refused.value.report.bad == 1


def test_refusing_gives_everything_of_a_good_file(tmp_path):
    assert len(list(imported(tmp_path, "ts,latency_ms\n" + GOOD * 3, on_bad="refuse").records())) == 3


def test_a_third_way_is_none(tmp_path):
    with pytest.raises(ValueError, match="skip or refuse, not 'ignore'"):
        imported(tmp_path, "ts\n1\n", on_bad="ignore")


@pytest.mark.parametrize("keep", [0.3, 0.7, 0.99])
def test_a_torn_gzip_loads_up_to_the_tear_and_says_where(tmp_path, keep):
    lines = "".join(f"{1_700_000_000 + n},{n * 7919 % 1000}\n" for n in range(50_000))
    packed = gzip.compress(f"ts,latency_ms\n{lines}".encode())
    opened = imported(tmp_path, packed[: int(len(packed) * keep)])
    count = len(list(opened.records()))
    assert keep - 0.15 < count / 50_000 < keep + 0.15
    [problem] = opened.report.problems
    assert problem.row == count + 2
    assert "the gzip data ends or breaks here" in problem.reason


def test_a_gzip_bomb_is_not_read_to_its_end(tmp_path):
    bomb = gzip.compress(b"ts,latency_ms\n" + GOOD.encode() * 400_000)
    opened = imported(tmp_path, bomb, limits=Limits(ratio=100, free_bytes=1 << 20))
    count = len(list(opened.records()))
    assert count < 200_000
    assert "bytes come out of each byte" in opened.report.problems[-1].reason


def test_a_bomb_without_lines_fills_no_memory(tmp_path):
    bomb = gzip.compress(b"ts\n1700000000\n" + b"0" * (96 << 20))
    opened = imported(tmp_path, bomb, limits=Limits(ratio=5000, line_bytes=1 << 20))
    tracemalloc.start()
    try:
        assert len(problems(opened)) == 1
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_memory_is_bounded_whatever_the_size(tmp_path):
    def peak(rows):
        line = json.dumps({"ts": 1_700_000_000, "latency_ms": 5, "query": "x" * 200})
        opened = imported(tmp_path, f"{line}\n" * rows)
        tracemalloc.start()
        try:
            assert sum(1 for _ in opened.records()) == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small, large = peak(2_000), peak(40_000)
    assert large < small + (2 << 20)


@pytest.mark.slow
def test_a_large_document_is_read_in_pieces(tmp_path):
    spans = [
        {
            "traceID": f"{n:08x}",
            "spanID": "1",
            "operationName": "ask " + "x" * 3_000,
            "startTime": 1_700_000_000_000_000,
            "duration": 5,
            "references": [],
            "tags": [],
        }
        for n in range(6_000)
    ]
    document = json.dumps({"data": [{"traceID": span["traceID"], "spans": [span]} for span in spans]})
    opened = imported(tmp_path, document)
    del spans
    tracemalloc.start()
    try:
        assert sum(1 for _ in opened.records()) == 6_000
        assert tracemalloc.get_traced_memory()[1] < 0.5 * len(document)
    finally:
        tracemalloc.stop()


def test_ten_thousand_columns_are_refused(tmp_path):
    with pytest.raises(ValueError, match="10,000 columns; at most 2,000 are read"):
        imported(tmp_path, ",".join(f"c{n}" for n in range(10_000)) + "\n")
    with pytest.raises(ValueError, match="10,000 columns"):
        imported(tmp_path, json.dumps({f"c{n}": n for n in range(10_000)}))
    path = tmp_path / "wide.parquet"
    pq.write_table(pa.table({f"c{n}": [1] for n in range(3_000)}), path)
    with pytest.raises(ValueError, match="3,000 columns"):
        Import(path)


@pytest.mark.parametrize("bomb", ["[" * 200_000, '{"a":' * 200_000])
def test_json_nested_without_end_is_told(tmp_path, bomb):
    opened = imported(
        tmp_path, f'{{"ts": 1700000000}}\n{{"ts": 1700000000, "a": {bomb}\n{{"ts": 1700000001}}\n'
    )
    assert [row for row, _ in problems(opened)] == [2]
    assert opened.report.records == 2
    with pytest.raises(ValueError, match=r"no rows|nested"):
        imported(tmp_path, bomb)


def test_a_nested_bomb_inside_a_trace_document_ends_the_reading(tmp_path):
    opened = imported(tmp_path, '{"resourceSpans": [{"scopeSpans": [{"spans": [' + "[" * 200_000)
    [(row, reason)] = problems(opened)
    assert row == 1
    assert "nested too deep" in reason


@pytest.mark.parametrize("bomb", ['{"resourceSpans": [', '{"resourceSpans": [{"scopeSpans": ['])
def test_a_nested_bomb_on_the_way_to_the_spans_is_told(tmp_path, bomb):
    path = tmp_path / "file"
    path.write_text(f'{bomb}{"[" * 200_000} "scopeSpans"')
    try:
        opened = Import(path)
    except ValueError as refusal:
        reasons = [str(refusal)]
    else:
        reasons = [reason for _, reason in problems(opened)]
    assert any("nested too deep" in reason for reason in reasons)


def test_a_line_in_another_encoding_is_told(tmp_path):
    opened = imported(tmp_path, b"ts,query\n1700000000,Z\xfcrich\n1700000001,ok\n")
    assert problems(opened) == [(2, "not UTF-8 (byte 0xfc at 13): name the encoding")]
    assert opened.report.records == 1


def test_ids_that_come_twice_count_once(tmp_path):
    opened = imported(tmp_path, "ts,request_id\n1700000000,a\n1700000001,b\n1700000002,a\n")
    assert problems(opened) == [(4, "id 'a' is there twice, first in row 2")]


def test_clocks_that_go_backwards_are_told_and_order_is_counted(tmp_path):
    opened = imported(
        tmp_path, "start,end\n1700000005,1700000006\n1700000004,1700000003\n1700000001,1700000002\n"
    )
    assert problems(opened) == [(3, "ends before it starts: a clock went backwards")]
    assert (opened.report.backwards, opened.report.first, opened.report.last) == (
        1,
        1700000001.0,
        1700000005.0,
    )


def test_a_unit_that_cannot_be_right_is_told(tmp_path):
    opened = imported(
        tmp_path, "timestamp_s,duration_s\n1700000000000000,5\n1700000000,99999999\n1700000000,1\n"
    )
    assert all("is the unit right?" in reason for _, reason in problems(opened))
    assert opened.report.bad == 2


def test_formulas_stay_text(tmp_path):
    opened = imported(tmp_path, 'ts,query\n1700000000,"=HYPERLINK(""http://x"")"\n')
    assert next(opened.records()).query_text == '=HYPERLINK("http://x")'


def test_what_is_no_measurement_is_refused_with_what_it_is(tmp_path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.csv", "ts\n1\n")
    for content, message in (
        (b"", "empty"),
        (packed.getvalue(), "zip archive: unpack"),
        (b"SQLite format 3\0rest", "SQLite"),
        (bytes(range(256)) * 10, "no text"),
        (b"PAR1 and no more", "no whole Parquet file"),
        (b"   \n\n", "empty"),
        (b"ts,latency\n", "no rows"),
        (gzip.compress(b""), "empty"),
    ):
        with pytest.raises(ValueError, match=message):
            imported(tmp_path, content)


def test_a_torn_parquet_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"ts": list(range(10_000))}), path)
    with pytest.raises(ValueError, match="no whole Parquet file"):
        imported(tmp_path, path.read_bytes()[:-100])


def test_a_document_that_ends_in_the_middle_loads_what_was_whole(tmp_path):
    trace = {
        "traceID": "a",
        "spans": [{"traceID": "a", "spanID": "1", "operationName": "ask", "startTime": 5, "duration": 5}],
    }
    text = json.dumps({"data": [trace, {**trace, "traceID": "b"}]})
    opened = imported(tmp_path, text[: text.rindex("{") + 20])
    assert len(list(opened.records())) == 1
    assert "ends in the middle" in opened.report.problems[0].reason


def test_a_document_that_is_no_json_is_told_with_its_place(tmp_path):
    opened = imported(tmp_path, '{"data": [{"traceID": "a", "spans": []}, oops]}' + " " * 5000)
    assert "not JSON near character 42" in problems(opened)[0][1]


def test_problems_are_counted_beyond_those_that_are_kept(tmp_path):
    opened = imported(tmp_path, "ts\n1700000000\n" + "x\n" * 3000)
    assert len(problems(opened)) == 1000
    assert opened.report.bad == 3000
