"""Traces and observations of Langfuse: exports of its tables and of its blob storage, and its API's JSON."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Any

from athena_tuning.interchange import units
from athena_tuning.interchange.mapping import ColumnMapping
from athena_tuning.interchange.recognition import (
    CERTAIN,
    LIKELY,
    Recogniser,
    Recognition,
    SpanReading,
    TableReading,
)
from athena_tuning.interchange.shape import Row, Sample, flat
from athena_tuning.interchange.spans import DOCUMENT_ATTRIBUTES, KIND_ATTRIBUTE, Span, kept
from athena_tuning.interchange.trace_json import each, first_of, list_in, span_of, written_ns

_TYPES = frozenset(
    {
        *("SPAN", "GENERATION", "EVENT", "AGENT", "TOOL", "CHAIN", "RETRIEVER", "EVALUATOR", "EMBEDDING"),
        "GUARDRAIL",
    }
)
_OF_TRACES = (
    *("sessionId", "session_id", "userId", "user_id", "release", "public", "bookmarked", "htmlPath"),
    *("totalCost", "total_cost", "observations", "scores", "environment"),
)


def observations(element: Any, keep: Container[str]) -> Iterator[Span | ValueError]:
    """Give the span of an observation; an event, which takes no time, is none."""
    yield from each(lambda row: _observation(row, keep), [element])


def traces(element: Any, keep: Container[str]) -> Iterator[Span | ValueError]:
    """Give the spans of a trace with its observations inside, in one object or beside each other."""
    if not isinstance(element, Mapping):
        yield ValueError(f"not a trace: {element!r:.80}")
        return
    trace = element["trace"] if isinstance(element.get("trace"), Mapping) else element
    yield from each(lambda row: _trace(row, keep), [trace])
    for row in list_in(element, "observations"):
        if isinstance(row, Mapping):
            above = first_of(row, "parentObservationId", "parent_observation_id") or trace.get("id")
            inside = {"traceId": trace.get("id"), **row, "parentObservationId": above}
            yield from observations(inside, keep)


def _recognise_observations(sample: Sample) -> Recognition | None:
    if not (
        sample.has("id") and _any(sample, "traceId", "trace_id") and _any(sample, "startTime", "start_time")
    ):
        return None
    if not _any(sample, "parentObservationId", "parent_observation_id", "level"):
        return None
    if sample.share(lambda row: row.get("type") in _TYPES) < 0.9:
        return None
    reading = SpanReading(observations, trace_is_request=True)
    return Recognition(CERTAIN, "observations with traceId, startTime and a type of Langfuse", reading)


def _recognise_traces(sample: Sample) -> Recognition | None:
    if sample.share(_holds_observations) > 0.5:
        reading = SpanReading(traces, lambda _: True)
        return Recognition(CERTAIN, "traces with their observations inside", reading)
    if not sample.has("id", "timestamp", "latency") or sum(map(sample.has, _OF_TRACES)) < 3:
        return None
    mapping = ColumnMapping(
        start="timestamp",
        latency="latency",
        query_id="id",
        query_type="name" if sample.has("name") else None,
        query_text="input" if sample.has("input") else None,
        time_unit="text",
        latency_unit="s",
    )
    notes = ("a trace alone tells nothing of its layers: observations do",)
    return Recognition(
        LIKELY, "columns of a trace of Langfuse; its latency is in s", TableReading(mapping), notes
    )


def _any(sample: Sample, *names: str) -> bool:
    return any(map(sample.has, names))


def _holds_observations(row: Row) -> bool:
    trace = row["trace"] if isinstance(row.get("trace"), Mapping) else row
    inside = list_in(row, "observations")
    return (
        "id" in trace and bool(inside) and all(isinstance(one, Mapping) and "type" in one for one in inside)
    )


def _observation(row: Row, keep: Container[str]) -> Span | None:
    if row.get("type") == "EVENT":
        return None
    start = written_ns(first_of(row, "startTime", "start_time"), "startTime")
    end = written_ns(first_of(row, "endTime", "end_time"), "endTime")
    if start is None:
        raise ValueError("an observation without startTime")
    failed = row.get("level") == "ERROR"
    kind = "LLM" if row.get("type") == "GENERATION" else str(row.get("type"))
    return span_of(
        first_of(row, "traceId", "trace_id"),
        row.get("id"),
        first_of(row, "parentObservationId", "parent_observation_id"),
        row.get("name"),
        start,
        None if end is None else end - start,
        False if failed else None,
        first_of(row, "statusMessage", "status_message") if failed else None,
        {**kept(_attributes(row), keep), KIND_ATTRIBUTE: kind},
    )


def _trace(row: Row, keep: Container[str]) -> Span:
    start = written_ns(row.get("timestamp"), "timestamp")
    if start is None:
        raise ValueError("a trace without timestamp")
    took = units.duration_ms(row.get("latency"), "s")
    return span_of(
        row.get("id"),
        row.get("id"),
        None,
        row.get("name"),
        start,
        None if took is None else round(took * 1e6),
        None,
        None,
        kept(_attributes(row), keep),
    )


def _attributes(row: Row) -> Iterator[tuple[str, Any]]:
    yield "input.value", row.get("input")
    documents = row.get("output")
    if isinstance(documents, Mapping):
        documents = documents.get("documents")
    if isinstance(documents, list) and row.get("type") == "RETRIEVER":
        yield DOCUMENT_ATTRIBUTES[0], documents
    if isinstance(metadata := row.get("metadata"), Mapping):
        yield from flat(metadata).items()


RECOGNISERS = (
    Recogniser("langfuse-observations", "Langfuse observations (JSON, CSV)", _recognise_observations),
    Recogniser("langfuse-traces", "Langfuse traces (JSON, CSV)", _recognise_traces),
)
