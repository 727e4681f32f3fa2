"""From a question to the words and phrases worth searching for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from athena_tuning.recall.classification import LONG, question_in
from athena_tuning.recall.layers.analysis import UNSPACED_RUN, letters, pairs, spelled_out

MAX_TERMS = 48
"""Distinct words and phrases of a query that are looked for."""

MAX_PARTS = 8
"""Parts of one compound (a path, a URL) that are looked for."""

_READ = 2000
"""Characters that are read of a text's end, and of its beginning."""

_ENGLISH = """
    a about after again against ain all also am an and any are aren as at be because been before being
    between both but by can could couldn did didn do does doesn doing don down during each few for from
    further had hadn has hasn have haven having he her here hers him his how i if in into is isn it its
    just me more most my no nor not now of off on once only or other our out over own same she should
    shouldn so some such than that the their them then there these they this those through to too under
    until up very was wasn we were weren what when where which while who whom whose why will with would
    wouldn you your
"""
_STOP_WORDS = frozenset(_ENGLISH.split())
_CONTRACTED = frozenset(("s", "d", "m", "ll", "re", "ve"))

_LETTER = r"[0-9A-Za-z\x80-\U0010ffff]"
_CHUNK = re.compile(f"{_LETTER}+(?:[-._/:@&'+]+{_LETTER}+)*")
_PART = re.compile(f"{_LETTER}+")
_SENTENCE_BORDER = re.compile(r"[.!?:;\n\"(\[]")


def match_any(text: str) -> str | None:
    """Return an FTS5 query for any of the terms of a text; None without any."""
    return _match_any(str(text)) if len(text) <= LONG else _match_any.__wrapped__(text)


@lru_cache(maxsize=256)  # every layer of a recall asks for the same
def _match_any(text: str) -> str | None:
    return " OR ".join(f'"{term[:-1]}"*' if term[-1] == "*" else f'"{term}"' for term in terms(text)) or None


def terms(text: str) -> list[str]:
    """Return the words and phrases of a query that carry meaning, each once; all of them if none does.

    A word in a script without spaces is told by its pairs of letters, a compound by the phrase of its parts
    and by those that carry meaning alone. A single letter or number also counts together with the word before
    it. A stop word written like a name is one. A prefix ends with ``*``.

    Examples:
        >>> terms("When did Ana's team deploy the API?")
        ['ana', 'team', 'deploy', 'api']
        >>> terms("Does Will like plan B of v1.2.3 or ledger-service?")[:5]
        ['will', 'like', 'plan', 'plan b', 'b']
        >>> terms("数据库 in 东")
        ['数据', '据库', '东*']
    """
    wanted = _collected([text]) if len(text) <= 2 * _READ else []
    if not 0 < len(wanted) <= MAX_TERMS:
        wanted = _collected([question_in(text), text[-_READ:], text[:_READ]])
    return wanted[:MAX_TERMS]


def _collected(pieces: Iterable[str]) -> list[str]:
    telling: dict[str, None] = {}
    words: dict[str, None] = {}
    for piece in pieces:
        for term, tells in _terms_of(list(_chunks(piece))):
            words[term] = None
            if tells:
                telling[term] = None
    return list(telling or words)


class _Chunk(NamedTuple):
    """What stands between spaces or sentence marks.

    ``opens``: it begins a sentence. ``before``: the word that only a space parts from it, or nothing.
    """

    text: str
    opens: bool
    before: str


def _chunks(text: str) -> Iterator[_Chunk]:
    text = spelled_out(text)
    if not text.isascii():
        text = UNSPACED_RUN.sub(r" \g<0> ", text)
    end, last = 0, ""
    for chunk in _CHUNK.finditer(text):
        start, end_before = chunk.start(), end
        end = chunk.end()
        between = text[end_before:start]
        opens = end_before == 0 or (between != " " and _SENTENCE_BORDER.search(between) is not None)
        yield _Chunk(chunk[0], opens, last if not opens and between.isspace() else "")
        last = chunk[0].casefold()


def _terms_of(chunks: list[_Chunk]) -> Iterator[tuple[str, bool]]:
    """Give each term, and whether it carries meaning."""
    names = _names_are_told_by_case(chunks)
    for number, chunk in enumerate(chunks):
        word = chunk.text.casefold()
        if not word.isascii() and UNSPACED_RUN.match(word):
            run = letters(word)
            yield from ((term, True) for term in pairs(run) or [f"{word}*"])
            continue
        word, negated = _without_contraction(word) if "'" in word else (word, False)
        parts = [word] if word.isalnum() else _PART.findall(word)
        if len(parts) > 1:
            yield from _compound(parts[:MAX_PARTS], negated=negated)
        elif len(word) == 1 or word.isdecimal():
            closes = number + 1 == len(chunks) or chunks[number + 1].opens
            yield from _letter_or_number(word, chunk, names=names, closes=closes)
        else:
            is_name = names and not chunk.opens and chunk.text[0].isupper()
            yield word, word not in _STOP_WORDS or is_name


def _without_contraction(word: str) -> tuple[str, bool]:
    """Return a word without "'s" and the like, and whether it was one like "don't"."""
    base, _, end = word.rpartition("'")
    if base and end in _CONTRACTED:
        return base, False
    return word, bool(base) and end == "t"


def _compound(parts: list[str], *, negated: bool) -> Iterator[tuple[str, bool]]:
    alone = [part for part in parts if _tells_alone(part)]
    yield " ".join(parts), not negated and (bool(alone) or not _STOP_WORDS.issuperset(parts))
    yield from ((part, not negated) for part in alone)


def _tells_alone(part: str) -> bool:
    return part not in _STOP_WORDS and ((len(part) > 1 and part.isalpha()) or len(part) > 3)


def _letter_or_number(word: str, chunk: _Chunk, *, names: bool, closes: bool) -> Iterator[tuple[str, bool]]:
    is_name = names and not chunk.opens and chunk.text[0].isupper() and word != "i"
    tells = word not in _STOP_WORDS and (word.isascii() or is_name)
    if chunk.before and chunk.before not in _STOP_WORDS and (tells or is_name or (word == "a" and closes)):
        yield " ".join(_PART.findall(f"{chunk.before} {word}")), True
    yield word, tells


def _names_are_told_by_case(chunks: list[_Chunk]) -> bool:
    """Return whether a capital says something: not where stop words have one as well, as in a title."""
    inside = [c.text for c in chunks if not c.opens and c.text != "I" and c.text.casefold() in _STOP_WORDS]
    capitals = sum(text[0].isupper() for text in inside)
    return capitals < 2 or capitals * 2 <= len(inside)
