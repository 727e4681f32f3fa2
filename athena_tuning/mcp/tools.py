"""What an agent may do with a memory. What an agent reads of each tool is its docstring."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, TypedDict

from mcp.server.mcpserver.exceptions import ResourceNotFoundError, ToolError
from pydantic import Field

from athena_tuning.recall.contract import Remembering
from athena_tuning.recall.memory import ANY_SCOPE
from athena_tuning.store import StoreError

Layer = Annotated[
    str,
    Field(
        description="Kind of memory: episodic (what happened), semantic (facts), procedural (how to do "
        "things), prospective (plans, reminders) or graph (relations)."
    ),
]
Scope = Annotated[
    str | None, Field(description="Project or conversation that it belongs to; leave it out for none.")
]


class Recalled(TypedDict):
    """What a recall found.

    Attributes:
        items: best first.
        query_id: names this recall, for ``feedback``.
        missing: layers that did not answer, and why; what they know is not in ``items``.
    """

    items: list[dict[str, Any]]
    query_id: str
    missing: dict[str, str]


class MemoryTools:
    """The tools of one memory.

    Args:
        manager: recalls, remembers and is measured.
    """

    def __init__(self, manager: Remembering) -> None:
        self._manager = manager

    async def recall(
        self,
        query: Annotated[str, Field(description="What to look for: a question or some words.")],
        k: Annotated[int, Field(description="Most items to return, 1 to 1000.")] = 5,
        scope: Scope = None,
        layers: Annotated[
            list[str] | None,
            Field(description="Kinds of memory to look in; leave it out for those that the query calls for."),
        ] = None,
    ) -> Recalled:
        """Find what the memory knows about something. Call it before you answer from memory."""
        with errors_for_agents():
            answer = await self._manager.arecall(query, k=k, scope=scope, layers=layers)
        if answer.get("_refused"):
            seconds = answer.get("_retry_after_s") or 1.0
            raise ToolError(f"the memory has too much to do: ask again in {seconds:.1f} s")
        items = [_essence(item) for item in answer["_fused"][:k]]
        return Recalled(items=items, query_id=answer["_query_id"], missing=answer["_errors"])

    def remember(
        self,
        text: Annotated[str, Field(description="What to remember, in words that later questions will use.")],
        layer: Layer = "semantic",
        scope: Scope = None,
        id: Annotated[
            str | None, Field(description="Name to replace or forget it by; leave it out for a new one.")
        ] = None,
        timestamp: Annotated[
            str | float | None, Field(description="When it happened: ISO 8601 or Unix seconds.")
        ] = None,
        speaker: Annotated[str, Field(description="Who said it.")] = "",
    ) -> str:
        """Keep something in the memory; returns its id. The same id in the same scope replaces it."""
        item = {"id": id or uuid.uuid4().hex, "layer": layer, "text": text, "scope": scope}
        with errors_for_agents():
            return self._manager.remember({**item, "timestamp": timestamp, "speaker": speaker})

    def forget(
        self,
        id: Annotated[str, Field(description="Id of the item, as recall and remember give it.")],
        scope: Scope = None,
    ) -> str:
        """Drop something from the memory."""
        with errors_for_agents():
            known = self._manager.forget(id, ANY_SCOPE if scope is None else scope)
        if not known:
            raise ToolError(f"there is no item {id!r:.80}; recall gives the ids of items")
        return f"{id} is forgotten"

    def feedback(
        self,
        query_id: Annotated[str, Field(description="As recall gave it.")],
        score: Annotated[float, Field(description="0 (useless) to 1 (just right).")],
    ) -> str:
        """Say how good a recall's answer was, so that the memory learns which layers to ask."""
        with errors_for_agents():
            known = self._manager.record_feedback(query_id, score)
        if not known:
            raise ToolError(f"no recall {query_id!r:.80} is known (any more); query_id is in recall's answer")
        return "noted"

    def status(self) -> dict[str, Any]:
        """Tell how many items each layer has, which layers are well, and what the memory runs under."""
        health = self._manager.layer_health()
        return {
            "items": self._manager.counts(),
            "layers": {name: str(layer.state) for name, layer in health.items()},
            "strategy": str(self._manager.config.strategy),
            "config_version": self._manager.configs.default.version,
            "recalls": self._manager.status().recalls,
        }

    def item(self, scope: str, id: str) -> dict[str, Any]:
        """An item of the memory, by scope ("-" for none) and id."""
        with errors_for_agents():
            found = self._manager.item(id, None if scope == "-" else scope)
        if found is None:
            raise ResourceNotFoundError(f"there is no item {id!r:.80} in scope {scope!r:.80}")
        return found.to_dict()


@contextmanager
def errors_for_agents() -> Iterator[None]:
    """Have an agent read what is wrong and what to do, in place of "error executing tool"."""
    try:
        yield
    except (ValueError, StoreError, ConnectionError, TimeoutError) as error:
        raise ToolError(str(error)) from error


def _essence(item: dict[str, Any]) -> dict[str, Any]:
    """Return what of an item is worth an agent's attention: no empty fields, no score."""
    return {name: value for name, value in item.items() if name not in ("score", "duplicates") and value}
