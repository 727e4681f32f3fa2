"""What the span of a recall, or of a layer, says of itself: in our words, OpenInference's and gen_ai's."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from athena_tuning.integrations.live_spans import QUEUE_ATTRIBUTE
from athena_tuning.integrations.totals import outcome
from athena_tuning.interchange.spans import (
    CACHE_ATTRIBUTE,
    COUNT_ATTRIBUTE,
    DOCUMENT_ATTRIBUTES,
    ID_ATTRIBUTE,
    KIND_ATTRIBUTE,
    LAYER_ATTRIBUTE,
    OPERATION_ATTRIBUTE,
    SOURCE_ATTRIBUTE,
    TEXT_ATTRIBUTES,
    TYPE_ATTRIBUTE,
)
from athena_tuning.model import LayerTask, QueryMetrics
from athena_tuning.profiling import FoundItems

MOST_DOCUMENTS = 20
"""Documents that a span tells of; ``athena.result_count`` says how many there were."""

LONGEST_TEXT = 1_000
"""Characters of a document's text that a span carries."""

Value = str | bool | int | float | Sequence[str]

_RETRIEVAL = {KIND_ATTRIBUTE: "RETRIEVER", OPERATION_ATTRIBUTE: "retrieval"}
_FLAT, _PACKED, _ = DOCUMENT_ATTRIBUTES
_QUESTIONS = (*TEXT_ATTRIBUTES[:2], "input.value")


def recall_attributes(m: QueryMetrics, found: FoundItems | None, *, texts: bool) -> dict[str, Value]:
    """Return the attributes of a recall's span.

    Args:
        m: the recall.
        found: what it found; None: unknown.
        texts: whether they may hold what was asked, and the texts of what was found.
    """
    ours = {
        TYPE_ATTRIBUTE: m.query_type,
        CACHE_ATTRIBUTE: m.cache_hit,
        COUNT_ATTRIBUTE: m.result_count,
        ID_ATTRIBUTE: m.query_id,
        "athena.outcome": outcome(m),
        "athena.config_version": m.config_version,
        "athena.parallel": m.parallel_execution,
        "athena.layers": list(m.layers_queried),
        "athena.accuracy": None if math.isnan(m.accuracy_score) else m.accuracy_score,
    }
    known = {name: value for name, value in ours.items() if value is not None}
    items = () if found is None else found(None)
    return {**_RETRIEVAL, **known, **_question(m, texts=texts), **_documents(items, texts=texts)}


def layer_attributes(
    m: QueryMetrics, task: LayerTask, found: FoundItems | None, *, texts: bool
) -> dict[str, Value]:
    """Return the attributes of a layer's span; for the arguments see ``recall_attributes``."""
    items = () if found is None else found(task.layer)[: task.result_count]
    return {
        **_RETRIEVAL,
        SOURCE_ATTRIBUTE: task.layer,
        LAYER_ATTRIBUTE: task.layer,
        QUEUE_ATTRIBUTE: task.queue_ms,
        COUNT_ATTRIBUTE: task.result_count,
        "athena.in_flight": task.in_flight,
        "athena.outcome": task.outcome.value,
        **_question(m, texts=texts),
        **_documents(items, texts=texts),
    }


def _question(m: QueryMetrics, *, texts: bool) -> dict[str, Value]:
    if not texts:
        return {}
    return {**dict.fromkeys(_QUESTIONS, m.query_text), "input.mime_type": "text/plain"}


def _documents(items: Sequence[Mapping[str, Any]], *, texts: bool) -> dict[str, Value]:
    shown = items[:MOST_DOCUMENTS]
    if not shown:
        return {}
    packed = [
        {"id": item["id"]} | ({"score": score} if (score := _score(item)) is not None else {})
        for item in shown
    ]
    return {_PACKED: json.dumps(packed), **dict(_numbered(shown, texts=texts))}


def _numbered(items: Sequence[Mapping[str, Any]], *, texts: bool) -> Iterator[tuple[str, Value]]:
    for place, item in enumerate(items):
        begins = f"{_FLAT}.{place}.document"
        yield f"{begins}.id", item["id"]
        yield f"{begins}.metadata", json.dumps({"layer": item["layer"]})
        if (score := _score(item)) is not None:
            yield f"{begins}.score", score
        if texts:
            yield f"{begins}.content", item["text"][:LONGEST_TEXT]


def _score(item: Mapping[str, Any]) -> float | None:
    score = item.get("score")
    return float(score) if isinstance(score, (int, float)) and math.isfinite(score) else None
