"""LangGraph: its long-term memory, kept and searched by a manager."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from athena_tuning.extras import needs_extra

with needs_extra("langgraph", "The bridge to LangGraph"):
    from langgraph.store.base import (
        BaseStore,
        GetOp,
        Item,
        ListNamespacesOp,
        MatchCondition,
        Op,
        PutOp,
        Result,
        SearchItem,
        SearchOp,
        get_text_at_path,
        tokenize_path,
    )

from athena_tuning.integrations.langgraph_rows import Row, RowTable
from athena_tuning.recall import MemoryManager
from athena_tuning.recall.request import MAX_K

Namespace = tuple[str, ...]
LayerOf = Callable[[Namespace], str]


class ManagerStore(BaseStore):
    """A store of LangGraph over a manager: what is put is an item of its memory, what is searched a recall.

    An item's scope is its namespace, joined by dots, and its id is the key, so that other agents on the same
    memory find it. Values are kept as they are, beside the items in the memory's file; several stores, also
    in several processes, may share one. A search without a query lists, the newest first.

    What is searched are the texts at the fields that ``put(..., index=[...])`` names; without it all texts of
    the value, one a line. With ``index=False`` an item is found by its key and by lists alone. Items do not
    expire: a ``ttl`` is refused.

    Args:
        manager: keeps and recalls.
        layer: the layer for its items, or what gives that by the namespace.

    Examples:
        >>> manager = MemoryManager(":memory:")
        >>> store = ManagerStore(manager)
        >>> store.put(("users", "ana"), "tea", {"text": "Ana drinks green tea", "since": 2019})
        >>> [(item.key, item.value["since"]) for item in store.search(("users",), query="who drinks tea?")]
        [('tea', 2019)]
        >>> manager.close()
    """

    def __init__(self, manager: MemoryManager, layer: str | LayerOf = "semantic") -> None:
        self._manager = manager
        self._layer = layer if callable(layer) else lambda _: layer
        self._rows = RowTable(manager.memory.file)
        for row in self._rows.unsettled():  # whoever put them did not come to the end
            self._settle(row)

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Do some operations, one after the other; return what each came to.

        Raises:
            ValueError: if a value is not as JSON holds it, or its layer is not in the memory.
        """
        return [self._do(op) for op in ops]

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Do the same in a thread, so that the running loop goes on."""
        return await asyncio.to_thread(self.batch, list(ops))

    def _do(self, op: Op) -> Result:
        if isinstance(op, PutOp):
            return self._put(op)
        if isinstance(op, GetOp):
            row = self._rows.get(op.namespace, op.key)
            return None if row is None else _item(row)
        if isinstance(op, SearchOp):
            return self._search(op)
        if isinstance(op, ListNamespacesOp):
            return self._namespaces(op)
        raise TypeError(f"a store knows no {type(op).__name__}")

    def _put(self, op: PutOp) -> None:
        if op.value is None:
            gone = self._rows.mark_gone(op.namespace, op.key)
            if gone is not None:
                self._settle(gone)
            return
        layer = self._layer(op.namespace)
        if layer not in self._manager.memory.layers:
            known = ", ".join(self._manager.memory.layers)
            raise ValueError(f"{'.'.join(op.namespace)} is for layer {layer!r}; there are {known}")
        self._settle(self._rows.put(op.namespace, op.key, layer, op.value, _text(op.value, op.index), _now()))

    def _settle(self, row: Row) -> None:
        """Bring the memory up to what a row says: first the row, so that nothing is lost in between."""
        scope = ".".join(row.namespace)
        if row.value is None or not row.text:
            self._manager.forget(row.key, scope)
        else:
            item = {"id": row.key, "layer": row.layer, "text": row.text, "scope": scope}
            self._manager.remember({**item, "timestamp": row.updated})
        self._rows.settled(row)

    def _search(self, op: SearchOp) -> list[SearchItem]:
        if not op.query:
            rows = self._rows.below(op.namespace_prefix)
            matching = [_search_item(row, None) for row in rows if _matches(row.value, op.filter)]
            return matching[op.offset : op.offset + op.limit]
        return self._recalled(op, op.query)

    def _recalled(self, op: SearchOp, query: str) -> list[SearchItem]:
        """Recall ever more until there are enough below the prefix, or there is no more to find."""
        places = self._rows.places(op.namespace_prefix)
        layers = sorted({layer for _, layer in places})
        if not layers:
            return []
        scopes = {".".join(namespace): namespace for namespace, _ in places}
        only = next(iter(scopes)) if len(scopes) == 1 else None
        wanted = op.offset + op.limit
        k = min(MAX_K, max(wanted, 10))
        while True:
            answer = self._manager.recall(query, k=k, scope=only, layers=layers)
            if not answer["_success"]:
                raise RuntimeError(f"no layer answered: {answer['_errors']}")
            matching = [
                _search_item(row, item["score"])
                for item in answer["_fused"]
                if (namespace := scopes.get(item.get("scope") or ""))
                and (row := self._rows.get(namespace, item["id"])) is not None
                and _matches(row.value, op.filter)
            ]
            whole = all(len(answer.get(layer, ())) < k for layer in layers)
            if len(matching) >= wanted or whole or k == MAX_K:
                return matching[op.offset : wanted]
            k = min(MAX_K, k * 4)

    def _namespaces(self, op: ListNamespacesOp) -> list[Namespace]:
        conditions = op.match_conditions or ()
        prefixes = {
            namespace[: op.max_depth]
            for namespace, _ in self._rows.places(())
            if all(_fits(namespace, condition) for condition in conditions)
        }
        return sorted(prefixes)[op.offset : op.offset + op.limit]


def _now() -> float:
    return datetime.now(UTC).timestamp()


def _text(value: Mapping[str, Any], index: Any) -> str:
    """Return what an item is found by."""
    if index is False:
        return ""
    if index is None:
        return "\n".join(_texts(value))
    return "\n".join(text for path in index for text in get_text_at_path(value, tokenize_path(path)))


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, Sequence):
        for part in value:
            yield from _texts(part)


def _times(row: Row) -> dict[str, datetime]:
    return {
        "created_at": datetime.fromtimestamp(row.created, UTC),
        "updated_at": datetime.fromtimestamp(row.updated, UTC),
    }


def _item(row: Row) -> Item:
    return Item(value=json.loads(row.value or "null"), key=row.key, namespace=row.namespace, **_times(row))


def _search_item(row: Row, score: float | None) -> SearchItem:
    value = json.loads(row.value or "null")
    return SearchItem(namespace=row.namespace, key=row.key, value=value, score=score, **_times(row))


def _matches(value: str | None, wanted: Mapping[str, Any] | None) -> bool:
    """Whether a value has all that a filter wants, by equality or by ``{"$gt": 3}`` and the like."""
    if not wanted:
        return value is not None
    held = json.loads(value or "{}")
    return all(_is(held.get(name), condition) for name, condition in wanted.items())


def _is(held: Any, condition: Any) -> bool:
    if isinstance(condition, Mapping) and any(str(name).startswith("$") for name in condition):
        return all(_compares(held, name, value) for name, value in condition.items())
    if isinstance(condition, Mapping):
        return isinstance(held, Mapping) and all(_is(held.get(name), of) for name, of in condition.items())
    return bool(held == (list(condition) if isinstance(condition, tuple) else condition))


def _compares(held: Any, operator: str, value: Any) -> bool:
    if operator not in _OPERATORS:
        raise ValueError(f"a filter knows no {operator!r:.80}; there are {', '.join(_OPERATORS)}")
    try:
        return _OPERATORS[operator](held, value)
    except TypeError:  # not to be compared
        return False


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "$eq": lambda held, value: bool(held == value),
    "$ne": lambda held, value: bool(held != value),
    "$gt": lambda held, value: bool(held > value),
    "$gte": lambda held, value: bool(held >= value),
    "$lt": lambda held, value: bool(held < value),
    "$lte": lambda held, value: bool(held <= value),
}


def _fits(namespace: Namespace, condition: MatchCondition) -> bool:
    path = condition.path
    part = namespace[: len(path)] if condition.match_type == "prefix" else namespace[-len(path) :]
    return len(part) == len(path) and all(
        want in {"*", label} for want, label in zip(path, part, strict=True)
    )
