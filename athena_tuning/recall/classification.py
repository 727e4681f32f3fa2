"""What a query is about: its type, by the words in it."""

from __future__ import annotations

import re
from functools import lru_cache

_PHRASES: dict[str, tuple[str, ...]] = {
    "temporal": ("when", "last", "recent", "yesterday", "week", "month", "date", "time"),
    "relational": ("depends", "related", "connection", "linked", "uses", "implements"),
    "planning": (
        "decompose",
        "plan",
        "strategy",
        "orchestrate",
        "validate",
        "recommendation",
        "how should i",
        "suggest",
    ),
    "procedural": ("how to", "how do", "workflow", "process", "steps", "procedure"),
    "prospective": ("task", "todo", "remind", "remember to", "pending", "need to"),
    "meta": ("what do we know", "what have we learned", "coverage", "expertise"),
}


def whole_words(phrases: tuple[str, ...]) -> re.Pattern[str]:
    """Return a pattern that finds any of the phrases as whole words, in any case and spacing.

    Example:
        >>> bool(whole_words(("plan",)).search("planet")), bool(whole_words(("how to",)).search("How  to?"))
        (False, True)
    """
    spaced = "|".join(r"\s+".join(map(re.escape, phrase.split())) for phrase in phrases)
    return re.compile(rf"\b(?:{spaced})\b", re.IGNORECASE)


_PATTERNS = tuple((query_type, whole_words(phrases)) for query_type, phrases in _PHRASES.items())


LONG = 1000
"""Characters from which on a query is taken for something pasted, with a question above or below it."""

_MARGIN = 300
"""Characters above and below what was pasted in which the question is looked for."""

_SENTENCE_THAT_ASKS = re.compile(r"[^.!?？؟\n]*[?？؟][\"')\]]*(?=\s|$)|[^\n。！？]*？")


def question_in(text: str) -> str:
    r"""Return the part of a long query that asks.

    That is what ends with a question mark near its end, or else near its beginning; and where nothing does,
    its end and its beginning.

    Example:
        >>> question_in("GET /health 200\n" * 500 + "Thanks. Who owns the ledger?").strip()
        'Who owns the ledger?'
    """
    end, beginning = text[-_MARGIN:], text[:_MARGIN]
    asking = _SENTENCE_THAT_ASKS.findall(end) or _SENTENCE_THAT_ASKS.findall(beginning)
    return "\n".join(asking or (end, beginning))


def classify(text: str) -> str:
    """Return the type of a query: the first of ``QUERY_TYPES`` whose words it has, else "factual".

    Example:
        >>> classify("How do I deploy?"), classify("What is the sunset plant?"), classify("A lasting bond")
        ('procedural', 'factual', 'factual')
    """
    return _classify(what_tells(text))


def what_tells(text: str) -> str:
    """Return what of a query its type and its layers are told by: all of it, if it is not long."""
    return text if len(text) <= LONG else question_in(text)


@lru_cache(maxsize=4096)
def _classify(text: str) -> str:
    for query_type, pattern in _PATTERNS:
        if pattern.search(text):
            return query_type
    return "factual"
