"""A step of a trace as a value, which of its attributes count, and the record of a recall with its layers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from sys import intern
from typing import Any

from athena_tuning.model import QueryMetrics
from athena_tuning.profiling.overlap import most_at_once, time_covered

TEXT_ATTRIBUTES = (
    "athena.query.text",
    "gen_ai.retrieval.query.text",
    "gen_ai.memory.query.text",
    "input.value",
    "db.query.text",
    "db.statement",
)
"""Attributes that hold what was asked, best first; without one it is the span's name."""

ID_ATTRIBUTE = "athena.query.id"
TYPE_ATTRIBUTE = "athena.query.type"
LAYER_ATTRIBUTE = "athena.layer"
LAYER_ATTRIBUTES = (LAYER_ATTRIBUTE, "memory.layer", "layer")
"""Attributes that name the layer of a span, best first; without one it is the span's name."""

KIND_ATTRIBUTE = "openinference.span.kind"
OPERATION_ATTRIBUTE = "gen_ai.operation.name"
SOURCE_ATTRIBUTE = "gen_ai.data_source.id"
CACHE_ATTRIBUTE = "athena.cache_hit"
COUNT_ATTRIBUTE = "athena.result_count"
DOCUMENT_ATTRIBUTES = ("retrieval.documents", "gen_ai.retrieval.documents", "gen_ai.memory.records")
"""Attributes that hold what was found; a span keeps how many there were."""

STATUS_ATTRIBUTES = ("http.response.status_code", "http.status_code")

KEPT_ATTRIBUTES = frozenset(
    {
        *TEXT_ATTRIBUTES,
        *STATUS_ATTRIBUTES,
        *LAYER_ATTRIBUTES,
        *DOCUMENT_ATTRIBUTES,
        ID_ATTRIBUTE,
        TYPE_ATTRIBUTE,
        KIND_ATTRIBUTE,
        OPERATION_ATTRIBUTE,
        SOURCE_ATTRIBUTE,
        CACHE_ATTRIBUTE,
        COUNT_ATTRIBUTE,
    }
)
"""What a span keeps of its attributes."""

NO_PARENT = frozenset({"", "0", "0000000000000000", "root", "none", "null", "nan"})

_LONGEST_TEXT = 2000
_QUESTIONS = ("query", "question", "input", "query_str", "text", "prompt")
_DOCUMENT = re.compile(r"retrieval\.documents\.(\d+)\.")


@dataclass(frozen=True, slots=True)
class Span:
    """One step of a trace. Times are whole ns, so that what follows never seems to overlap.

    Attributes:
        trace_id: the trace.
        span_id: unique within the trace.
        parent_id: the step that it belongs to; None for the first.
        name: what was done.
        start_ns: Unix time; None if the file does not tell, until ``placed`` puts it beside the others.
        duration_ns: None if the file does not tell.
        success: None if the file does not tell.
        error: what failed.
        shared: whether caller and called may both report under this id.
        attributes: those that ``kept`` gives.
    """

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    start_ns: int | None
    duration_ns: int | None
    success: bool | None = None
    error: str | None = None
    shared: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def begun_ns(self) -> int:
        """When it began; 0 if that is unknown."""
        return self.start_ns or 0

    @property
    def text(self) -> str | None:
        """What was asked; None if the span does not tell."""
        return next((str(text) for name in TEXT_ATTRIBUTES if (text := self.attributes.get(name))), None)

    @property
    def result_count(self) -> int | None:
        """How many results there were; None if the span does not tell."""
        counts = (self.attributes.get(name) for name in (COUNT_ATTRIBUTE, *DOCUMENT_ATTRIBUTES))
        return next((count for count in counts if type(count) is int), None)


def kept(pairs: Iterable[tuple[str, Any]], keep: Container[str] = KEPT_ATTRIBUTES) -> dict[str, Any]:
    """Return what counts of a span's attributes: short texts, and of documents how many there are.

    Examples:
        >>> documents = [(f"retrieval.documents.{n}.document.id", n) for n in range(3)]
        >>> kept([("input.value", '{"query": "tea?"}'), ("other", 1), *documents])
        {'input.value': 'tea?', 'retrieval.documents': 3}
    """
    attributes: dict[str, Any] = {}
    documents = set()
    for name, value in pairs:
        if name in DOCUMENT_ATTRIBUTES:
            attributes[intern(name)] = _how_many(value)
        elif name in TEXT_ATTRIBUTES:
            attributes[intern(name)] = question_in(value) if name == "input.value" else value
        elif name in keep:  # names and kinds come with every span: each is held once
            attributes[intern(name)] = intern(value) if type(value) is str else value
        elif numbered := _DOCUMENT.match(name):
            documents.add(numbered[1])
    if documents:
        attributes[DOCUMENT_ATTRIBUTES[0]] = len(documents)
    return attributes


def question_in(value: Any, depth: int = 3) -> str | None:
    """Return what was asked in the inputs of a step: a text, or the first text of such a name in an object.

    Examples:
        >>> question_in('{"bm25": {"query": "tea?", "top_k": 3}}'), question_in("coffee?"), question_in(7)
        ('tea?', 'coffee?', None)
    """
    if isinstance(value, str):
        if value[:1] != "{":
            return value[:_LONGEST_TEXT] or None
        try:
            value = json.loads(value)
        except (RecursionError, ValueError):
            return str(value)[:_LONGEST_TEXT]
    if not isinstance(value, Mapping) or depth == 0:
        return None
    for name in _QUESTIONS:
        if isinstance(text := value.get(name), str) and text:
            return text[:_LONGEST_TEXT]
    inner = (question_in(part, depth - 1) for part in value.values() if isinstance(part, Mapping))
    return next((text for text in inner if text), None)


def record_of_layers(
    root: Span, by_layer: Mapping[str, Sequence[Span]], query_id: str, source: str = "imported"
) -> QueryMetrics:
    """Return a span and its layers as a record.

    A layer that is asked several times has the time in which it worked; one of its spans without a duration
    leaves it unknown. How long spans waited for a slot is unknown, so there are no ``tasks``.
    """
    timed = {
        layer: time_covered(_intervals(spans)) / 1e6 for layer, spans in by_layer.items() if _known(spans)
    }
    layer_spans = [span for spans in by_layer.values() for span in spans]
    at_once = max(1, most_at_once(_intervals(span for span in layer_spans if span.duration_ns is not None)))
    failed = [layer for layer, spans in by_layer.items() if any(span.success is False for span in spans)]
    cache_hit = root.attributes.get(CACHE_ATTRIBUTE)
    return QueryMetrics(
        query_id,
        root.text or root.name,
        str(root.attributes.get(TYPE_ATTRIBUTE) or root.name),
        root.begun_ns / 1e9,
        None if root.duration_ns is None else root.duration_ns / 1e6,
        None,
        cache_hit if type(cache_hit) is bool else None,
        root.result_count,
        list(by_layer),
        timed,
        root.success,
        root.error or ("; ".join(f"{layer} failed" for layer in failed) or None),
        at_once > 1,
        at_once,
        math.nan,
        partial=bool(failed) and root.success is not False,
        source=source,
    )


def _how_many(documents: Any) -> int | None:
    if isinstance(documents, str):
        try:
            documents = json.loads(documents)
        except (RecursionError, ValueError):
            return None
    if type(documents) is int:
        return documents
    return len(documents) if isinstance(documents, list) else None


def _known(spans: Iterable[Span]) -> bool:
    return all(span.duration_ns is not None for span in spans)


def _intervals(spans: Iterable[Span]) -> list[tuple[int, int]]:
    return [(span.begun_ns, span.begun_ns + (span.duration_ns or 0)) for span in spans]
