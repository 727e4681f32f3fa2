"""From a question to the words worth searching for."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from hashlib import blake2b

MAX_TERMS = 48
"""Distinct words of a query that are looked for; a longer text says no more by its tail."""

_ENGLISH = """
    a about after again against all also am an and any are as at be because been before being between both but
    by can could did do does doing down during each few for from further had has have having he her here hers
    him his how i if in into is it its just me more most my no nor not now of off on once only or other our
    out over own same she should so some such than that the their them then there these they this those
    through to too under until up very was we were what when where which while who whom whose why will with
    would you your
"""
_STOP_WORDS = frozenset(_ENGLISH.split())
_WORD = re.compile(r"\w+")


def terms(text: str) -> list[str]:
    """Return the words of a query that carry meaning, each once; all of them if none does.

    Example:
        >>> terms("When did Ana's team deploy the API?")
        ['ana', 'team', 'deploy', 'api']
    """
    words: dict[str, None] = {}
    telling: dict[str, None] = {}
    for found in _WORD.finditer(text):
        word = found[0].lower()
        words[word] = None
        if word not in _STOP_WORDS and (len(word) > 1 or word.isdigit()):
            telling[word] = None
            if len(telling) == MAX_TERMS:
                break
    return list(telling or words)[:MAX_TERMS]


def any_of(text: str, scope: str | None, columns: str) -> str | None:
    """Return an FTS5 query for any of the words in ``columns``, within ``scope``; None without words."""
    words = " OR ".join(f'"{word}"' for word in terms(text))
    if not words:
        return None
    query = f"{{{columns}}} : ({words})"
    return query if scope is None else f"scope : {scope_mark(scope)} AND {query}"


def scope_mark(scope: str | None) -> str:
    """Return one word that stands for a scope in a full-text index: digits, so that no stemmer touches it."""
    if scope is None:
        return ""
    return f"s{int.from_bytes(blake2b(scope.encode(), digest_size=8).digest(), 'big')}"


def moment(timestamp: float | None) -> str:
    """Return a time in the words that questions use.

    Example:
        >>> moment(1714644000)
        '2 May 2024 Thursday 2024-05-02'
    """
    if timestamp is None:
        return ""
    try:
        at = datetime.fromtimestamp(timestamp, UTC)
    except (OverflowError, OSError, ValueError):
        return ""  # a year that no calendar has
    return f"{at.day} {at:%B %Y %A %Y-%m-%d}"
