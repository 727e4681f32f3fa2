"""What a question shows of itself: its words and its shape, named so that a person understands them."""

from __future__ import annotations

import re
import zlib

from athena_tuning.model import EVERY, EVERY_HASHED
from athena_tuning.recall.classification import what_tells, words_of

_NAME = re.compile(r"\s[A-Z]")
_DIGIT = re.compile(r"\d")

_DATES = frozenset(
    (
        *("january", "february", "march", "april", "june", "july"),
        *("august", "september", "october", "november", "december"),
        *("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
        *("yesterday", "today", "tomorrow", "week", "month", "year"),
    )
)

_LENGTHS = (
    "of 1 to 3 words",
    "of 4 to 7 words",
    "of 8 to 11 words",
    "of 12 to 15 words",
    "of 16 words or more",
)


def features(text: str, *, hashed: bool = False) -> frozenset[str]:
    """Return what a question shows: words in small letters, and what its shape is.

    Args:
        text: the question; of a long one, what asks.
        hashed: give the 32-bit hash of words in place of them. Who guesses a word can confirm the guess.

    Examples:
        >>> sorted(features("Who paid Ana?"))
        ['ana', 'begins with who', 'every question', 'has 1 name', 'of 1 to 3 words', 'paid', 'who']
        >>> sorted(features("Who paid Ana?", hashed=True))[:3]
        ['#779f6fe2', '#ded63aa1', '#fd8eab38']
    """
    asked = what_tells(text)
    words = words_of(asked).each
    shape = [_LENGTHS[min(len(words) // 4, len(_LENGTHS) - 1)]]
    names = len(_NAME.findall(asked))
    if names:
        shape.append("has 1 name" if names == 1 else f"has {min(names, 3)} names")
    if _DIGIT.search(asked):
        shape.append("has digits")
    if not _DATES.isdisjoint(words):
        shape.append("has a date")
    if hashed:
        words = tuple([f"#{zlib.crc32(word.encode()):08x}" for word in words])
    if words:
        shape.append(f"begins with {words[0]}")
    return frozenset((EVERY_HASHED if hashed else EVERY, *words, *shape))
