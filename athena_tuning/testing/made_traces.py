"""Traces as tracing systems and platforms for language models export them, made of requests that are known.

In the formats of retrieval a recall stands inside a request that takes longer and calls a model after it, so
that whoever takes the first span for the recall is found out.
"""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from athena_tuning.extras import needs_extra
from athena_tuning.testing.made_requests import LAYERS, MadeFile, MadeRequest, truth_of

_RETRIEVERS = ("BM25Retriever", "VectorRetriever")
_MODEL_US = 400_000
_KINDS = {"chain": "SPAN", "retriever": "RETRIEVER", "llm": "GENERATION"}

Step = tuple[str, str | None, str, str, int, int, bool, str]
"""Id, id of the step above, name, kind, start and duration in µs, whether it succeeded, what was asked."""


def made_traces(requests: Sequence[MadeRequest]) -> Iterator[MadeFile]:
    """Give files of each format that holds traces."""
    yield from _tracing(requests)
    yield from _tables(requests)
    yield from _platforms(requests)


def _plain(r: MadeRequest) -> list[Step]:
    """Return a request with its layers right below."""
    layers = zip(LAYERS, r.layers_us, strict=True)
    below: list[Step] = [
        (f"{r.number + 1:012x}{at:04x}", _id(r), name, "layer", r.start_us, took, True, "")
        for at, (name, took) in enumerate(layers, 1)
    ]
    return [(_id(r), None, "ask", "request", r.start_us, r.took_us, r.ok, r.text), *below]


def _inside(r: MadeRequest) -> list[Step]:
    """Return a recall with two retrievers inside a request that calls a model after it."""
    outer, recall = f"{r.number + 1:012x}00aa", _id(r)
    below: list[Step] = [
        (f"{r.number + 1:012x}{at:04x}", recall, name, "retriever", r.start_us, took, True, r.text)
        for at, (name, took) in enumerate(zip(_RETRIEVERS, r.layers_us, strict=True), 1)
    ]
    return [
        (outer, None, "rag", "chain", r.start_us - 1_000, r.took_us + _MODEL_US, True, r.text),
        (recall, outer, "EnsembleRetriever", "retriever", r.start_us, r.took_us, r.ok, r.text),
        *below,
        (f"{r.number + 1:012x}00bb", outer, "ChatModel", "llm", r.end_us, _MODEL_US - 2_000, True, "…"),
    ]


def _tracing(requests: Sequence[MadeRequest]) -> Iterator[MadeFile]:
    truth = truth_of(requests, layers=LAYERS)

    def otlp(r: MadeRequest, step: Step, *, packed: bool = False) -> dict[str, Any]:
        own, above, name, _, start, took, ok, text = step

        def encoded(value: str) -> str:
            return base64.b64encode(bytes.fromhex(value)).decode() if packed else value

        span: dict[str, Any] = {
            "traceId": encoded(_trace(r)), "spanId": encoded(own), "name": name, "kind": 1,
            "startTimeUnixNano": str(start * 1000), "endTimeUnixNano": str((start + took) * 1000),
            "attributes": [{"key": "input.value", "value": {"stringValue": text}}] if text else [],
            "status": {} if ok else {"code": 2, "message": "boom"},
        }  # fmt: skip
        return span if above is None else {**span, "parentSpanId": encoded(above)}

    def resources(spans: Sequence[Any]) -> list[Any]:
        return [{"resource": {"attributes": []}, "scopeSpans": [{"scope": {"name": "app"}, "spans": spans}]}]

    spans = [otlp(r, step) for r in requests for step in _plain(r)]
    yield MadeFile("otlp.json", "otlp", _json({"resourceSpans": resources(spans)}), truth)
    lines = [{"resourceSpans": resources([otlp(r, step) for step in _plain(r)])} for r in requests]
    yield MadeFile("collector.jsonl", "otlp", _lines(lines), truth)
    packed = [otlp(r, step, packed=True) for r in requests for step in _plain(r)]
    yield MadeFile("tempo.json", "otlp", _json({"batches": resources(packed)}), truth)

    def jaeger(r: MadeRequest, step: Step) -> dict[str, Any]:
        own, above, name, _, start, took, ok, text = step
        links = [{"refType": "CHILD_OF", "traceID": _trace(r), "spanID": above}] if above else []
        tags: list[Any] = [{"key": "db.statement", "type": "string", "value": text}] if text else []
        tags += [] if ok else [{"key": "error", "type": "bool", "value": True}]
        span = {"traceID": _trace(r), "spanID": own, "operationName": name, "references": links}
        return {**span, "startTime": start, "duration": took, "tags": tags, "logs": [], "processID": "p1"}

    traces = [{"traceID": _trace(r), "spans": [jaeger(r, step) for step in _plain(r)]} for r in requests]
    yield MadeFile("jaeger.json", "jaeger", _json({"data": traces, "total": 0, "errors": None}), truth)
    bare = [span for trace in traces for span in trace["spans"]]
    yield MadeFile("jaeger-spans.json", "jaeger", _json(bare), truth)

    def zipkin(r: MadeRequest, step: Step) -> dict[str, Any]:
        own, above, name, _, start, took, ok, text = step
        tags = {**({"db.statement": text} if text else {}), **({} if ok else {"error": "boom"})}
        span: dict[str, Any] = {
            "traceId": _trace(r),
            "id": own,
            "name": name,
            "localEndpoint": {"serviceName": "a"},
        }
        span |= {"timestamp": start, "duration": took, "tags": tags}
        return {**span, "parentId": above} if above else span

    listed = [zipkin(r, step) for r in requests for step in _plain(r)]
    untimed = {"traceId": _trace(requests[0]), "parentId": _id(requests[0]), "id": "00ff", "kind": "SERVER"}
    first = [{**untimed, "localEndpoint": {"serviceName": "b"}}, *listed]
    late = truth_of(requests, layers=(*LAYERS, "unnamed"))
    yield MadeFile("zipkin.json", "zipkin", _json(listed), truth)
    yield MadeFile("zipkin-untimed.json", "zipkin", _json(first), late)


def _tables(requests: Sequence[MadeRequest]) -> Iterator[MadeFile]:
    names = ("trace_id", "span_id", "parent_id", "name", "start", "duration", "error")
    rows = [
        (_trace(r), own, above or "", name, start * 1000, took * 1000, "" if ok else "boom")
        for r in requests
        for own, above, name, _, start, took, ok, _ in _plain(r)
    ]
    truth = truth_of(requests, layers=LAYERS)
    yield MadeFile("spans-ns.csv", "span-table", _csv(names, rows), truth)
    typed = [
        {
            **dict(zip(names, row, strict=True)),
            "start": _moment(row[4] // 1000),
            "duration": timedelta(microseconds=row[5] // 1000),
        }
        for row in rows
    ]
    yield MadeFile("spans.parquet", "span-table", _parquet(typed), truth)


def _platforms(requests: Sequence[MadeRequest]) -> Iterator[MadeFile]:
    truth = truth_of(requests, layers=_RETRIEVERS)
    steps = [(r, step) for r in requests for step in _inside(r)]

    phoenix: list[dict[str, Any]] = [
        {
            "context.span_id": own, "context.trace_id": _trace(r), "parent_id": above, "name": name,
            "span_kind": kind.upper(), "start_time": _written(start), "end_time": _written(start + took),
            "status_code": "OK" if ok else "ERROR", "status_message": "" if ok else "boom",
            "attributes.input.value": text, "attributes.openinference.span.kind": kind.upper(),
        }
        for r, (own, above, name, kind, start, took, ok, text) in steps
    ]  # fmt: skip
    yield MadeFile(
        "phoenix.csv", "phoenix", _csv(list(phoenix[0]), (list(row.values()) for row in phoenix)), truth
    )
    same = ("name", "parent_id", "span_kind", "start_time", "end_time", "status_code", "status_message")
    nested = [
        {
            **{name: row[name] for name in same},
            "id": f"U3Bhbjo{n}",
            "context": {"trace_id": row["context.trace_id"], "span_id": row["context.span_id"]},
            "attributes": {"input.value": row["attributes.input.value"]},
            "events": [],
        }
        for n, row in enumerate(phoenix)
    ]
    yield MadeFile("phoenix.parquet", "phoenix", _parquet(_with_times(phoenix, steps)), truth)
    yield MadeFile("phoenix.json", "phoenix", _json({"data": nested, "next_cursor": None}), truth)

    runs: list[dict[str, Any]] = [
        {
            "id": own, "trace_id": f"{r.number + 1:012x}00aa", "parent_run_id": above, "name": name,
            "run_type": kind,
            "start_time": _written(start)[:-1], "end_time": _written(start + took)[:-1],
            "status": "success" if ok else "error", "error": None if ok else "boom",
            "inputs": {"query": text}, "outputs": {"documents": [{"page_content": "a"}] * 3},
        }
        for r, (own, above, name, kind, start, took, ok, text) in steps
    ]  # fmt: skip
    yield MadeFile("langsmith.jsonl", "langsmith", _lines(runs), truth)
    cells = [[json.dumps(v) if isinstance(v, dict) else v for v in run.values()] for run in runs]
    yield MadeFile("langsmith.csv", "langsmith", _csv(list(runs[0]), cells), truth)

    flat = [dict(zip(runs[0], row, strict=True)) for row in cells]
    yield MadeFile("langsmith.parquet", "langsmith", _parquet(_with_times(flat, steps)), truth)

    observed = [
        {
            "id": own, "traceId": _trace(r), "type": _KINDS[kind], "name": name, "parentObservationId": above,
            "startTime": _written(start), "endTime": _written(start + took), "input": {"query": text},
            "output": [{"content": "a"}] * 3, "level": "DEFAULT" if ok else "ERROR",
            "statusMessage": None if ok else "boom", "metadata": {},
        }
        for r, (own, above, name, kind, start, took, ok, text) in steps
    ]  # fmt: skip
    yield MadeFile("langfuse-observations.json", "langfuse-observations", _json(observed), truth)
    snake = {"traceId": "trace_id", "parentObservationId": "parent_observation_id", "startTime": "start_time"}
    snake |= {"endTime": "end_time", "statusMessage": "status_message"}
    blob = [{snake.get(name, name): value for name, value in row.items()} for row in observed]
    yield MadeFile("langfuse-blob.jsonl", "langfuse-observations", _lines(blob), truth)
    alone: list[dict[str, Any]] = [
        {
            "id": _trace(r), "timestamp": _written(r.start_us), "name": "ask", "input": r.text, "output": "…",
            "latency": r.took_us / 1e6, "sessionId": "s1", "userId": "u1", "release": None, "public": False,
            "tags": [], "totalCost": 0.01,
        }
        for r in requests
    ]  # fmt: skip
    silent = truth_of(requests, failures=False, successes=False)
    yield MadeFile("langfuse-traces.jsonl", "langfuse-traces", _lines(alone), silent)


def _id(r: MadeRequest) -> str:
    return f"{r.number + 1:012x}0000"


def _trace(r: MadeRequest) -> str:
    return f"{r.number + 1:032x}"


def _moment(us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


def _with_times(
    rows: Sequence[dict[str, Any]], steps: Sequence[tuple[MadeRequest, Step]]
) -> list[dict[str, Any]]:
    """Return rows whose times are times, as a schema has them, and no texts."""
    both = zip(rows, steps, strict=True)
    return [{**row, "start_time": _moment(s[4]), "end_time": _moment(s[4] + s[5])} for row, (_, s) in both]


def _parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    with needs_extra("files", "Parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

    packed = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), packed)
    return packed.getvalue()


def _written(us: int) -> str:
    at = datetime.fromtimestamp(us // 1_000_000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{us % 1_000_000:06d}Z"


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def _csv(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    return text.getvalue().encode()
