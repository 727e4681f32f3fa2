"""Runs of LangSmith: JSON lines or CSV of its client, Parquet of its bulk export."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping
from typing import Any

from athena_tuning.interchange.recognition import CERTAIN, Recogniser, Recognition, SpanReading
from athena_tuning.interchange.shape import Row, Sample, flat
from athena_tuning.interchange.spans import DOCUMENT_ATTRIBUTES, KIND_ATTRIBUTE, Span, kept
from athena_tuning.interchange.trace_json import each, span_of, written_ns

_RUN_TYPES = frozenset({"chain", "llm", "tool", "retriever", "embedding", "prompt", "parser"})


def spans(element: Any, keep: Container[str]) -> Iterator[Span | ValueError]:
    """Give the span of a run, and those of the runs that are inside it."""
    yield from each(lambda run: _span(run, keep), [element])
    if isinstance(element, Mapping) and isinstance(element.get("child_runs"), list):
        for child in element["child_runs"]:
            yield from spans(child, keep)


def _recognise(sample: Sample) -> Recognition | None:
    if not sample.has("id", "run_type", "start_time"):
        return None
    if not any(sample.has(name) for name in ("parent_run_id", "trace_id", "dotted_order", "child_runs")):
        return None
    if sample.share(lambda row: row.get("run_type") in _RUN_TYPES) < 0.9:
        return None
    return Recognition(CERTAIN, "runs with run_type, start_time and the run above them", SpanReading(spans))


def _span(run: Row, keep: Container[str]) -> Span:
    start, end = (written_ns(run.get(name), name) for name in ("start_time", "end_time"))
    if start is None:
        raise ValueError("a run without start_time")
    status, error = run.get("status"), run.get("error") or None
    failed = status == "error" or (error is not None and status != "success")
    return span_of(
        run.get("trace_id") or _first_run(run) or run.get("id"),
        run.get("id"),
        run.get("parent_run_id"),
        run.get("name"),
        start,
        None if end is None else end - start,
        False if failed else True if status == "success" else None,
        error if failed else None,
        {**kept(_attributes(run), keep), KIND_ATTRIBUTE: str(run.get("run_type") or "").upper()},
    )


def _first_run(run: Row) -> str | None:
    """Return the id of the outermost run, which ``dotted_order`` begins with."""
    order = run.get("dotted_order")
    return order.split(".", 1)[0].rpartition("Z")[2] if isinstance(order, str) and order else None


def _attributes(run: Row) -> Iterator[tuple[str, Any]]:
    yield "input.value", run.get("inputs")
    outputs = _loaded(run.get("outputs"))
    if isinstance(outputs, Mapping):
        documents = outputs.get("documents", outputs.get("output"))
        if isinstance(documents, list):
            yield DOCUMENT_ATTRIBUTES[0], documents
    extra = _loaded(run.get("extra"))
    if isinstance(extra, Mapping) and isinstance(extra.get("metadata"), Mapping):
        yield from flat(extra["metadata"]).items()


def _loaded(value: Any) -> Any:
    if isinstance(value, str) and value[:1] == "{":
        try:
            return json.loads(value)
        except (RecursionError, ValueError):
            return None
    return value


RECOGNISERS = (Recogniser("langsmith", "LangSmith runs (JSON, CSV, Parquet)", _recognise),)
