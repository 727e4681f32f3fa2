"""What frameworks are given of a recall, and what a layer gives of their documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from athena_tuning.store.text_policy import text_id


def best_items(answer: Mapping[str, Any], k: int) -> list[tuple[str, str, float, dict[str, Any]]]:
    """Return id, text, score and metadata of the best of a recall; metadata has the recall's ``query_id``.

    Raises:
        RuntimeError: if no layer answered.
    """
    if not answer["_success"]:
        raise RuntimeError(f"no layer answered: {answer['_errors']}")
    return [
        (
            str(item["id"]),
            item["text"],
            float(item["score"]),
            {
                **{name: value for name, value in item.items() if name not in {"text", "score"}},
                "query_id": answer["_query_id"],
            },
        )
        for item in answer["_fused"][:k]
    ]


def item_of(own: object, text: str, metadata: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    """Return a document as an item of a layer; without an id, equal texts have equal ones."""
    named = {str(name): value for name, value in metadata}
    return {**named, "id": str(own or named.get("id") or text_id(text)), "text": text}
