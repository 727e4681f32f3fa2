"""What a query is about: its type, by the words in it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_PHRASES: dict[str, tuple[str, ...]] = {
    "temporal": (
        "when",
        "last",
        "recent",
        "yesterday",
        "week",
        "weeks",
        "month",
        "months",
        "date",
        "dates",
        "time",
    ),
    "relational": ("depends", "related", "connection", "connections", "linked", "uses", "implements"),
    "planning": (
        "decompose",
        "plan",
        "plans",
        "strategy",
        "strategies",
        "orchestrate",
        "validate",
        "recommendation",
        "recommendations",
        "how should i",
        "suggest",
    ),
    "procedural": (
        "how to",
        "how do",
        "workflow",
        "workflows",
        "process",
        "steps",
        "procedure",
        "procedures",
    ),
    "prospective": (
        "task",
        "tasks",
        "todo",
        "todos",
        "remind",
        "reminder",
        "reminders",
        "remember to",
        "pending",
        "need to",
    ),
    "meta": ("what do we know", "what have we learned", "coverage", "expertise"),
}


class Words(NamedTuple):
    """The words of a query, in small letters.

    Attributes:
        text: all of what tells its type.
        each: the first ``MOST_WORDS`` words, in their order.
        all: every word, once.
    """

    text: str
    each: tuple[str, ...]
    all: frozenset[str]


MOST_WORDS = 48
"""Words that are kept in their order, so that a long query costs no more than a sentence."""


class Phrases:
    """Finds phrases as whole words, in any case and spacing.

    Examples:
        >>> Phrases(("plan",)).are_in(words_of("planet")), Phrases(("how to",)).are_in(words_of("How  to?"))
        (False, True)
    """

    def __init__(self, phrases: tuple[str, ...]) -> None:
        several = [phrase.split() for phrase in phrases if " " in phrase]
        self._single = frozenset(phrases).difference(map(" ".join, several))
        self._heads = frozenset(words[0] for words in several)
        self._several = tuple(
            (frozenset(words), re.compile(r"\b" + r"\s+".join(map(re.escape, words)) + r"\b"))
            for words in several
        )

    def are_in(self, query: Words) -> bool:
        """Whether a query has any of the phrases."""
        if not self._single.isdisjoint(query.all):
            return True
        return not self._heads.isdisjoint(query.all) and any(
            words <= query.all and pattern.search(query.text) for words, pattern in self._several
        )


_ANY_PHRASE = Phrases(tuple(phrase for phrases in _PHRASES.values() for phrase in phrases))
_PHRASES_OF_TYPES = tuple((query_type, Phrases(phrases)) for query_type, phrases in _PHRASES.items())


LONG = 1000
"""Characters from which on a query is taken for something pasted, with a question above or below it."""

_MARGIN = 300
"""Characters above and below what was pasted in which the question is looked for."""

_SENTENCE_THAT_ASKS = re.compile(r"[^.!?？؟\n]*[?？؟][\"')\]]*(?=\s|$)|[^\n。！？]*？")


def question_in(text: str) -> str:
    r"""Return the part of a long query that asks.

    That is what ends with a question mark near its end, or else near its beginning; and where nothing does,
    its end and its beginning.

    Examples:
        >>> question_in("GET /health 200\n" * 500 + "Thanks. Who owns the ledger?").strip()
        'Who owns the ledger?'
    """
    end, beginning = text[-_MARGIN:], text[:_MARGIN]
    asking = _SENTENCE_THAT_ASKS.findall(end) or _SENTENCE_THAT_ASKS.findall(beginning)
    return "\n".join(asking or (end, beginning))


def classify(text: str) -> str:
    """Return the type of a query: the first of ``QUERY_TYPES`` whose words it has, else "factual".

    Examples:
        >>> classify("How do I deploy?"), classify("What is the sunset plant?"), classify("A lasting bond")
        ('procedural', 'factual', 'factual')
    """
    return _classify(what_tells(text))


def what_tells(text: str) -> str:
    """Return what of a query its type and its layers are told by: all of it, if it is not long."""
    return text if len(text) <= LONG else question_in(text)


_WORD = re.compile(r"\w+")


@lru_cache(maxsize=256)
def words_of(text: str) -> Words:
    """Return the words of a query's part that tells; kept for those that look at them in one recall."""
    small = what_tells(text).lower()
    words = _WORD.findall(small)
    return Words(small, tuple(words[:MOST_WORDS]), frozenset(words))


@lru_cache(maxsize=4096)
def _classify(text: str) -> str:
    words = words_of(text)
    if _ANY_PHRASE.are_in(words):  # most have none, and one look is enough to tell
        return next(query_type for query_type, phrases in _PHRASES_OF_TYPES if phrases.are_in(words))
    return "factual"
