"""Which spans of a trace are recalls, and which their layers: one reader for files and for running systems.

It looks at finished spans, so that attributes which come late count. Recalls are, in this order:

1. the spans that a person chose;
2. spans with our own attributes (``athena.query.id``, ``.text``, ``.type``);
3. the outermost retrievals (OpenInference's kind RETRIEVER, operation "retrieval" of OpenTelemetry's gen_ai).
   Several beside each other are one recall if they ask the same: its span is the one above them all;
4. the first span of each trace; where a trace is a request whatever its spans are, all its first spans.

Their layers are the nearest spans below that name a layer by an attribute (where those are right below, with
the others there), else the nearest retrievers, told apart by name and position, else the spans right below.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from athena_tuning.interchange.spans import (
    ID_ATTRIBUTE,
    KEPT_ATTRIBUTES,
    KIND_ATTRIBUTE,
    LAYER_ATTRIBUTES,
    OPERATION_ATTRIBUTE,
    SOURCE_ATTRIBUTE,
    TYPE_ATTRIBUTE,
    Span,
)

_OURS = (ID_ATTRIBUTE, TYPE_ATTRIBUTE, "athena.query.text")
_RETRIEVALS = frozenset({"retrieval", "search_memory"})
_MODEL_CALLS = frozenset({"chat", "generate_content", "text_completion"})
_METHOD = re.compile(r"\.(_?a?retrieve|_?a?run|a?invoke|_?a?get_relevant_documents|__call__)$")

Test = Callable[[Span], bool]


@dataclass(frozen=True, slots=True)
class SpanChoice:
    """Which spans a person says are the recalls, and which attribute names a layer.

    Attributes:
        recall: a span's name, or ATTRIBUTE=VALUE; None: by the rules above.
        layer_attribute: an attribute of the spans that are layers; None: by the rules above.
        recall_test: says of a span whether it is a recall, in place of ``recall``.
        layer_test: says of a span below a recall whether it is a layer, in place of ``layer_attribute``.
    """

    recall: str | None = None
    layer_attribute: str | None = None
    recall_test: Test | None = None
    layer_test: Test | None = None

    @property
    def chooses(self) -> bool:
        """Whether a person said which spans are recalls."""
        return self.recall is not None or self.recall_test is not None

    @property
    def kept(self) -> frozenset[str]:
        """Attributes that have to be kept for it."""
        name, sign, _ = (self.recall or "").partition("=")
        return KEPT_ATTRIBUTES | {name for name in (name if sign else "", self.layer_attribute) if name}

    def is_recall(self, span: Span) -> bool:
        """Whether a person chose this span (or one with its name) as the recall."""
        if self.recall_test is not None:
            return self.recall_test(span)
        if self.recall is None:
            return False
        name, sign, value = self.recall.partition("=")
        if span.name == self.recall:
            return True
        seen = span.attributes.get(name) if sign else None
        return seen is not None and (str(seen).lower() if isinstance(seen, bool) else str(seen)) == value


@dataclass(frozen=True, slots=True)
class Recall:
    """A recall in a trace.

    Attributes:
        root: the span that is the recall.
        layers: the spans of each layer, by its name.
    """

    root: Span
    layers: Mapping[str, Sequence[Span]]


def is_retrieval(span: Span) -> bool:
    """Whether a span says of itself that it retrieves something."""
    return bool(span.attributes) and (
        str(span.attributes.get(KIND_ATTRIBUTE, "")).upper() == "RETRIEVER"
        or span.attributes.get(OPERATION_ATTRIBUTE) in _RETRIEVALS
    )


def is_ours(span: Span) -> bool:
    """Whether a span says by our own attributes that it is a recall."""
    return bool(span.attributes) and any(span.attributes.get(name) is not None for name in _OURS)


def recalls(
    spans: Iterable[Span],
    choice: SpanChoice | None = None,
    *,
    trace_is_request: bool = False,
    first_spans: bool = True,
) -> list[Recall]:
    """Return the recalls among the finished spans of one trace, or below one of its spans.

    Args:
        spans: all that is known of the trace.
        choice: what a person said.
        trace_is_request: whether several first spans are parts of one request.
        first_spans: whether the fourth rule counts; not where others of the same system have retrievals.

    Examples:
        >>> kind = {"openinference.span.kind": "RETRIEVER"}
        >>> def span(own, parent, name, start, took, attributes=kind):
        ...     return Span("t", own, parent, name, start, took, attributes=attributes)
        >>> [recall] = recalls([
        ...     span("1", None, "GET /ask", 0, 900, {}), span("2", "1", "Fusion.retrieve", 10, 500),
        ...     span("3", "2", "Bm25.retrieve", 20, 300), span("4", "2", "Bm25.retrieve", 30, 400)])
        >>> recall.root.name, list(recall.layers)
        ('Fusion.retrieve', ['Bm25 1', 'Bm25 2'])
    """
    choice = choice or SpanChoice()
    tree = _Tree(spans)
    if choice.chooses:
        return [Recall(root, _layers(tree, root, choice)) for root in tree.outermost(choice.is_recall)]
    if ours := tree.outermost(is_ours):
        return [Recall(root, _layers(tree, root, choice)) for root in ours]
    if retrievals := tree.outermost(is_retrieval):
        return [_recall(tree, group, choice) for group in _groups(tree, retrievals)]
    if not first_spans:
        return []
    if trace_is_request and len(tree.roots) > 1:
        parts = sorted(tree.roots, key=lambda span: span.begun_ns)
        return [Recall(_around(None, parts), _grouped((span.name, span) for span in parts))]
    return [Recall(root, _layers(tree, root, choice)) for root in tree.roots]


def basis_of(spans: Iterable[Span], choice: SpanChoice) -> tuple[bool, str]:
    """Return whether first spans are recalls, going by some spans, and by which rule they are read."""
    spans = list(spans)
    if choice.recall is not None:
        return False, f"recalls are the spans {choice.recall!r}, as chosen"
    if any(map(is_ours, spans)):
        return False, "recalls are the spans with attributes athena.query.*"
    if any(map(is_retrieval, spans)):
        return False, "recalls are the outermost retrievals"
    return True, "recalls are the first spans of the traces: no span says that it retrieves something"


class _Tree:
    """The spans of a trace by their places."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self.spans = {span.span_id: span for span in spans}
        self.children: dict[str, list[Span]] = defaultdict(list)
        roots, strays = [], []
        for span in self.spans.values():
            if span.parent_id is None or span.parent_id == span.span_id:
                roots.append(span)
                continue
            self.children[span.parent_id].append(span)
            if span.parent_id not in self.spans:
                strays.append(span)
        self.roots = roots or strays
        self._entries = [*roots, *strays]

    def outermost(self, test: Test) -> list[Span]:
        """Return the spans that pass and have none above them that does."""
        if not any(map(test, self.spans.values())):
            return []
        return self._first(self._entries, test)

    def nearest_below(self, root: Span, test: Test) -> list[Span]:
        """Return the spans below that pass, but none below such a one; in the order in which they began."""
        below = self._first(self.children[root.span_id], test)
        return sorted(below, key=lambda span: span.begun_ns)

    def below(self, root: Span) -> Iterator[Span]:
        """Give all spans below."""
        waiting = list(self.children[root.span_id])
        while waiting:
            span = waiting.pop()
            yield span
            waiting += self.children[span.span_id]

    def above(self, span: Span) -> list[Span]:
        """Return the spans above, the nearest first."""
        reached: dict[str, Span] = {}
        parent = self.spans.get(span.parent_id or "")
        while parent is not None and parent.span_id not in reached and parent is not span:
            reached[parent.span_id] = parent
            parent = self.spans.get(parent.parent_id or "")
        return list(reached.values())

    def _first(self, entries: Sequence[Span], test: Test) -> list[Span]:
        reached, waiting = [], list(reversed(entries))
        while waiting:
            span = waiting.pop()
            if test(span):
                reached.append(span)
            else:
                waiting += reversed(self.children[span.span_id])
        return reached


def _layers(tree: _Tree, root: Span, choice: SpanChoice) -> dict[str, list[Span]]:
    names = (choice.layer_attribute,) if choice.layer_attribute else LAYER_ATTRIBUTES

    def layer(span: Span) -> str | None:
        known = span.attributes
        return next((str(value) for name in names if (value := known.get(name))), None) if known else None

    if choice.layer_test is not None:
        return _by_position(tree.nearest_below(root, choice.layer_test), layer)
    marked = tree.nearest_below(root, lambda span: layer(span) is not None)
    if choice.layer_attribute or any(span.parent_id != root.span_id for span in marked):
        return _grouped((layer(span) or "", span) for span in marked)
    if not marked:
        if retrievers := _retrievers_below(tree, root):
            return _by_position(retrievers)
        if is_retrieval(root) and not is_ours(root):
            return {_name(root): [root]}
    children = sorted(tree.children[root.span_id], key=lambda span: span.begun_ns)
    return _grouped((layer(span) or span.name, span) for span in children)


def _retrievers_below(tree: _Tree, root: Span) -> list[Span]:
    """Return the nearest retrievers; a method of the same retriever that is below it is no other one."""
    reached = tree.nearest_below(root, is_retrieval)
    while len(reached) == 1 and is_retrieval(root) and reached[0].name != root.name:
        if _name(reached[0]) != _name(root):
            break
        root = reached[0]
        reached = tree.nearest_below(root, is_retrieval)
    return reached


def _by_position(
    retrievers: Sequence[Span], named: Callable[[Span], str | None] = lambda _: None
) -> dict[str, list[Span]]:
    """Name retrievers; of those with one name that are asked the same, each is a layer of its own."""
    places: list[tuple[str, int, Span]] = []
    count: dict[tuple[str, str | None], int] = defaultdict(int)
    for span in retrievers:
        name = named(span) or _name(span)
        count[name, span.text] += 1
        places.append((name, count[name, span.text], span))
    several = {name for name, place, _ in places if place > 1}
    return _grouped((f"{name} {place}" if name in several else name, span) for name, place, span in places)


def _groups(tree: _Tree, retrievals: Sequence[Span]) -> list[list[Span]]:
    """Put retrievals together that belong to one recall.

    Another one begins after a call of a model, when something else is asked, and, where it is unknown what
    is asked, when a retriever that has ended is asked again.
    """
    models = sorted(span.begun_ns for span in tree.spans.values() if _is_model_call(span))
    groups: list[list[Span]] = []
    for span in sorted(retrievals, key=lambda span: span.begun_ns):
        if groups and _belongs(span, groups[-1], models):
            groups[-1].append(span)
        else:
            groups.append([span])
    return groups


def _belongs(span: Span, group: Sequence[Span], models: Sequence[int]) -> bool:
    ended = max(_end(other) for other in group)
    if any(ended <= begun <= span.begun_ns for begun in models):
        return False
    texts = {other.text for other in group} - {None}
    if span.text is not None and texts:
        return span.text in texts
    return all(other.name != span.name or _end(other) > span.begun_ns for other in group)


def _recall(tree: _Tree, group: Sequence[Span], choice: SpanChoice) -> Recall:
    if len(group) == 1:
        return Recall(group[0], _layers(tree, group[0], choice))
    root = _common(tree, group)
    whole = {span.span_id for span in group}
    if root is None or any(
        _is_model_call(span) or (is_retrieval(span) and whole.isdisjoint(_line(tree, span)))
        for span in tree.below(root)
    ):
        root = _around(root, group)
    elif root.text is None and (text := next(filter(None, (span.text for span in group)), None)):
        root = replace(root, attributes={**root.attributes, "input.value": text})
    return Recall(root, _by_position(group))


def _line(tree: _Tree, span: Span) -> set[str]:
    return {span.span_id, *(above.span_id for above in tree.above(span))}


def _common(tree: _Tree, group: Sequence[Span]) -> Span | None:
    """Return the nearest span above all of a group."""
    shared = set.intersection(*({above.span_id for above in tree.above(span)} for span in group))
    return next((above for above in tree.above(group[0]) if above.span_id in shared), None)


def _around(above: Span | None, group: Sequence[Span]) -> Span:
    """Return a span that lasts from the first to the last of a group, where the one above does more."""
    first = group[0]
    known = all(span.duration_ns is not None for span in group)
    outcomes = {span.success for span in group}
    return replace(
        first,
        name=above.name if above is not None else first.name,
        duration_ns=max(map(_end, group)) - first.begun_ns if known else None,
        success=None if None in outcomes else True in outcomes,
        error=None if True in outcomes else first.error,
        attributes={name: value for name, value in first.attributes.items() if "documents" not in name},
    )


def _grouped(named: Iterable[tuple[str, Span]]) -> dict[str, list[Span]]:
    layers: dict[str, list[Span]] = defaultdict(list)
    for name, span in named:
        layers[name].append(span)
    return dict(layers)


def _name(span: Span) -> str:
    """Return what a person calls a retriever: the source of its data, or its class without the method."""
    source = span.attributes.get(SOURCE_ATTRIBUTE)
    return str(source) if source else _METHOD.sub("", span.name)


def _is_model_call(span: Span) -> bool:
    return (
        str(span.attributes.get(KIND_ATTRIBUTE, "")).upper() == "LLM"
        or span.attributes.get(OPERATION_ATTRIBUTE) in _MODEL_CALLS
    )


def _end(span: Span) -> int:
    return span.begun_ns + (span.duration_ns or 0)
