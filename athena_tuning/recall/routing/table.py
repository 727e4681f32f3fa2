"""Which layers a query calls for, as far as its words tell: what holds before anything was learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from athena_tuning.recall.classification import Phrases, words_of

DEFAULTS: Mapping[str, tuple[str, ...]] = {
    "temporal": ("episodic", "semantic"),
    "factual": ("episodic", "semantic", "graph"),
    "relational": ("graph", "semantic"),
    "procedural": ("procedural", "semantic"),
    "prospective": ("prospective", "semantic"),
    "meta": ("meta", "semantic"),
    "planning": ("semantic", "procedural", "graph"),
}
"""Layers that have served each type of query well; those that are not registered are passed over."""

_SIGNALS = {
    "episodic": Phrases(
        (
            *("when", "last", "recent", "error", "errors", "failed", "failure", "failures", "happened"),
            *("who", "why", "what changed", "what has changed"),
        )
    ),
    "procedural": Phrases(("how", "do", "build", "implement", "create", "make")),
    "prospective": Phrases(
        (
            *("task", "tasks", "goal", "goals", "todo", "todos", "should"),
            *("remind", "reminder", "reminders", "schedule", "schedules"),
        )
    ),
    "graph": Phrases(
        (
            *("relate", "relates", "related", "relating", "relation", "relations"),
            *("depend", "depends", "depended", "depending", "dependent", "dependency", "dependencies"),
            *("connect", "connects", "connected", "connecting", "connection", "connections"),
            *("link", "links", "linked", "linking"),
            *("relationship", "relationships", "association", "associations", "associated"),
        )
    ),
}


def own_layer(query_type: str) -> str:
    """Return the layer that a type of query is about; "" for a type that nobody knows.

    Examples:
        >>> own_layer("procedural"), own_layer("relational")
        ('procedural', 'graph')
    """
    return DEFAULTS.get(query_type, ("",))[0]


def select_layers(
    text: str,
    query_type: str,
    registered: Sequence[str],
    *,
    context: Mapping[str, Any] | None = None,
    skipped: frozenset[str] = frozenset(),
    extra: frozenset[str] = frozenset(),
) -> tuple[str, ...]:
    """Return the layers to ask, in the order of ``registered``.

    Semantic is always asked. The learned defaults of the query's type and the layers whose words occur in
    the text join it, and episodic where the context says ``phase="debugging"``. A layer under a name of
    the caller's own is asked each time: nothing is known about when it may be left out.

    Args:
        text: the query.
        query_type: what the classifier made of it.
        registered: names of the manager's layers.
        context: what the caller gave beside the text.
        skipped: layers to leave out, as the config says.
        extra: layers to ask whatever the query, as the config says.

    Returns:
        The layers; never nothing: where all that were called for are skipped or not registered, every
        layer that is not skipped, and where all are skipped, every layer.

    Examples:
        >>> select_layers("When did the deploy fail?", "temporal", ["episodic", "semantic", "graph"])
        ('episodic', 'semantic')
    """
    words = words_of(text)
    called = frozenset([name for name, phrases in _SIGNALS.items() if phrases.are_in(words)])
    if context is not None and context.get("phase") == "debugging":
        called |= {"episodic"}
    return _chosen(tuple(registered), query_type, called, skipped, extra)


_KNOWN = frozenset(_SIGNALS) | frozenset(name for names in DEFAULTS.values() for name in names)


@lru_cache(maxsize=1024)
def _chosen(
    registered: tuple[str, ...],
    query_type: str,
    called: frozenset[str],
    skipped: frozenset[str],
    extra: frozenset[str],
) -> tuple[str, ...]:
    """Return the layers; there are few kinds of queries, so that nearly every one is known."""
    wanted = {"semantic", *DEFAULTS.get(query_type, ()), *called, *extra}
    chosen = tuple(
        name for name in registered if name not in skipped and (name in wanted or name not in _KNOWN)
    )
    return chosen or tuple(name for name in registered if name not in skipped) or registered
