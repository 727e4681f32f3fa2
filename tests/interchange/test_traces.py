"""Traces: a root span is a query, its children are layers, overlap means parallel; in every dialect."""

from __future__ import annotations

import base64
import json
from collections import Counter

import pytest

from athena_tuning.interchange import Import, Limits

T0 = 1_700_000_000_000_000_000
TRACE, ROOT, ONE, TWO = "0" * 31 + "1", "0" * 15 + "1", "0" * 15 + "2", "0" * 15 + "3"
SPANS = [  # id, parent, name, offset µs, duration µs, failed
    (ROOT, None, "ask", 0, 5000, None),
    (ONE, ROOT, "semantic", 1000, 2000, None),
    (TWO, ROOT, "graph", 2000, 2500, True),
]


def otlp_span(span, trace=TRACE, encode=lambda text: text):
    own, parent, name, offset, duration, failed = span
    start = T0 + offset * 1000
    made = {"traceId": encode(trace), "spanId": encode(own), "name": name, "startTimeUnixNano": str(start)}
    if duration is not None:
        made["endTimeUnixNano"] = str(start + duration * 1000)
    if parent:
        made["parentSpanId"] = encode(parent)
    made["status"] = {"code": 2, "message": "boom"} if failed else {}
    return made


def resources(spans):
    return [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": [span]}]} for span in spans]


def jaeger(spans):
    return {
        "data": [
            {
                "traceID": TRACE,
                "processes": {},
                "spans": [
                    {
                        "traceID": TRACE,
                        "spanID": own,
                        "operationName": name,
                        "startTime": T0 // 1000 + offset,
                        **({} if duration is None else {"duration": duration}),
                        "references": [{"refType": "CHILD_OF", "traceID": TRACE, "spanID": parent}]
                        if parent
                        else [],
                        "tags": [{"key": "error", "type": "bool", "value": True}] if failed else [],
                    }
                    for own, parent, name, offset, duration, failed in spans
                ],
            }
        ]
    }


def zipkin(spans):
    return [
        {
            "traceId": TRACE,
            "id": own,
            "name": name,
            "timestamp": T0 // 1000 + offset,
            **({} if duration is None else {"duration": duration}),
            **({"parentId": parent} if parent else {}),
            **({"tags": {"error": "boom"}} if failed else {}),
        }
        for own, parent, name, offset, duration, failed in spans
    ]


def b64(text):
    return base64.b64encode(bytes.fromhex(text)).decode()


DIALECTS = {
    "otlp": ("otlp", lambda spans: {"resourceSpans": resources(map(otlp_span, spans))}),
    "tempo": ("otlp", lambda spans: {"batches": resources(otlp_span(s, encode=b64) for s in spans)}),
    "tempo 2": (
        "otlp",
        lambda spans: {"trace": {"resourceSpans": resources(otlp_span(s, encode=b64) for s in spans)}},
    ),
    "jaeger": ("jaeger", jaeger),
    "zipkin": ("zipkin", zipkin),
    "zipkin traces": ("zipkin", lambda spans: [zipkin(spans)]),
}


def imported(tmp_path, document, **options):
    path = tmp_path / "trace.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return Import(path, **options)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("order", [1, -1])
def test_every_dialect_tells_the_same_query(tmp_path, dialect, order):
    expected, write = DIALECTS[dialect]
    file = imported(tmp_path, write(SPANS[::order]))
    [record] = file.records()
    assert file.format == expected
    assert (record.query_id, record.query_type, record.timestamp) == (TRACE, "ask", 1.7e9)
    assert (record.latency_ms, record.layer_latencies) == (5.0, {"semantic": 2.0, "graph": 2.5})
    assert (record.parallel_execution, record.concurrency_level) == (True, 2)
    assert (record.success, record.partial, record.error) == (None, True, "graph failed")
    assert (record.cache_hit, record.result_count, record.tasks, record.source) == (
        None,
        None,
        (),
        "imported",
    )


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_span_without_a_duration_leaves_it_unknown(tmp_path, dialect):
    spans = [(ROOT, None, "ask", 0, None, None), (ONE, ROOT, "semantic", 0, None, None)]
    [record] = imported(tmp_path, DIALECTS[dialect][1](spans)).records()
    assert (record.latency_ms, record.layers_queried, record.layer_latencies) == (None, ["semantic"], {})


@pytest.mark.parametrize("dialect", DIALECTS)
def test_layers_one_after_the_other_are_not_parallel(tmp_path, dialect):
    spans = [SPANS[0], (ONE, ROOT, "semantic", 0, 1000, None), (TWO, ROOT, "graph", 1000, 1000, None)]
    [record] = imported(tmp_path, DIALECTS[dialect][1](spans)).records()
    assert (record.parallel_execution, record.concurrency_level) == (False, 1)


def test_a_layer_that_is_asked_again_has_the_time_in_which_it_worked(tmp_path):
    spans = [
        SPANS[0],
        *((f"{n:016x}", ROOT, "graph", offset, 1000, None) for n, offset in ((7, 0), (8, 500), (9, 3000))),
    ]
    [record] = imported(tmp_path, jaeger(spans)).records()
    assert record.layer_latencies == {"graph": 2.5}


def test_only_children_of_the_root_are_layers(tmp_path):
    spans = [*SPANS, ("9" * 16, ONE, "disk", 1100, 100, None)]
    [record] = imported(tmp_path, jaeger(spans)).records()
    assert record.layers_queried == ["semantic", "graph"]


def test_without_its_root_in_the_file_a_trace_begins_with_what_is_there(tmp_path):
    records = list(imported(tmp_path, jaeger(SPANS[1:])).records())
    assert [(m.query_type, m.query_id) for m in records] == [
        ("semantic", f"{TRACE}/{ONE}"),
        ("graph", f"{TRACE}/{TWO}"),
    ]


def test_a_first_failure_far_into_a_file_tells_that_what_is_not_marked_did_not_fail(tmp_path):
    file = tmp_path / "late.json"
    traces = [
        {
            "traceId": f"{number:032x}",
            "id": f"{number:016x}",
            "name": "ask",
            "timestamp": T0 // 1000 + number * 1000,
            "duration": 500,
            "tags": {"error": "boom"} if number == 2500 else {},
        }
        for number in range(1, 2601)
    ]
    file.write_text(json.dumps(traces))
    opened = Import(file)
    survey = opened.survey()
    assert (survey.count, survey.failed) == (2600, 1)
    assert Counter(record.success for record in opened.records()) == {True: 2599, False: 1}


def test_documents_on_lines_of_their_own_are_one_file(tmp_path):
    lines = [
        json.dumps({"resourceSpans": resources([otlp_span(span, f"{n:032x}")])})
        for n in range(1, 4)
        for span in SPANS
    ]
    assert len(list(imported(tmp_path, "\n".join(lines)).records())) == 3


def test_status_and_attributes_are_read(tmp_path):
    span = otlp_span(SPANS[0]) | {
        "status": {"code": "STATUS_CODE_OK"},
        "attributes": [
            {"key": "athena.query.text", "value": {"stringValue": "last deploy?"}},
            {"key": "athena.query.type", "value": {"stringValue": "temporal"}},
            {"key": "athena.cache_hit", "value": {"boolValue": False}},
            {"key": "athena.result_count", "value": {"intValue": "7"}},
        ],
    }
    [record] = imported(tmp_path, {"resourceSpans": resources([span])}).records()
    told = (record.query_text, record.query_type, record.cache_hit, record.result_count, record.success)
    assert told == ("last deploy?", "temporal", False, 7, True)


def test_caller_and_called_under_one_id_are_one_call(tmp_path):
    spans = zipkin(SPANS[:2])
    spans.append({**spans[1], "kind": "SERVER", "shared": True, "duration": 1500})
    [record] = imported(tmp_path, spans).records()
    assert record.layer_latencies == {"semantic": 2.0}


def test_a_span_that_ends_before_it_starts_is_left_out_and_told(tmp_path):
    backwards = otlp_span(SPANS[1]) | {"endTimeUnixNano": str(T0)}
    file = imported(tmp_path, {"resourceSpans": resources([otlp_span(SPANS[0]), backwards])})
    [record] = file.records()
    assert record.layers_queried == []
    assert [p.row for p in file.report.problems] == [2]
    assert "a clock went backwards" in file.report.problems[0].reason


def test_a_trace_from_before_1970_is_left_out_and_told(tmp_path):
    for start in (-790_000_003_785_697, 0):
        document = jaeger([(ROOT, None, "ask", 0, 5000, None)])
        document["data"][0]["spans"][0]["startTime"] = start
        opened = imported(tmp_path, document)
        assert list(opened.records()) == []
        assert "s after 1970" in opened.report.problems[0].reason


def test_spans_that_are_none_are_left_out_and_told(tmp_path):
    odd = [
        {},
        "text",
        {"traceId": "t", "spanId": "s", "startTimeUnixNano": [1]},
        {"traceId": "t", "startTimeUnixNano": "5"},
    ]
    file = imported(tmp_path, {"resourceSpans": resources([*odd, otlp_span(SPANS[0])])})
    assert len(list(file.records())) == 1
    assert [p.row for p in file.report.problems] == [1, 2, 3, 4]


def test_a_span_that_comes_twice_is_told(tmp_path):
    file = imported(tmp_path, {"resourceSpans": resources([otlp_span(SPANS[0])] * 2)})
    assert len(list(file.records())) == 1
    assert "there twice, first as 1" in file.report.problems[0].reason


def test_a_trace_that_goes_round_in_a_circle_is_told(tmp_path):
    spans = [(ONE, TWO, "a", 0, 1, None), (TWO, ONE, "b", 0, 1, None)]
    file = imported(tmp_path, jaeger(spans))
    assert list(file.records()) == []
    assert "circle" in file.report.problems[0].reason


def test_open_traces_are_bounded_and_late_spans_are_told(tmp_path):
    spans = [otlp_span((ROOT, None, "ask", n, 5, None), f"{n:032x}") for n in range(1, 20)]
    late = otlp_span(SPANS[1], f"{1:032x}")
    document = {"resourceSpans": resources([*spans, late])}
    file = imported(tmp_path, document, limits=Limits(open_spans=10))
    assert len(list(file.records())) == 19
    assert [p.row for p in file.report.problems] == [20]
    assert "was complete" in file.report.problems[0].reason
