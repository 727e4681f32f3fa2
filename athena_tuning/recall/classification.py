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


READ = 4000
"""Characters of a query that its type and its layers are told by."""


def classify(text: str) -> str:
    """Return the type of a query: the first of ``QUERY_TYPES`` whose words it has, else "factual".

    Example:
        >>> classify("How do I deploy?"), classify("What is the sunset plant?"), classify("A lasting bond")
        ('procedural', 'factual', 'factual')
    """
    return _classify(text[:READ])


@lru_cache(maxsize=4096)
def _classify(text: str) -> str:
    for query_type, pattern in _PATTERNS:
        if pattern.search(text):
            return query_type
    return "factual"
