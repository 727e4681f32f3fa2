"""The words that a newcomer may not know, explained where they stand: dotted, said under the pointer."""

from __future__ import annotations

import html
import re

TERMS = {
    "recall": "One question to the memory, and its answer.",
    "layer tasks": "One layer's share of a recall: a search in one kind of memory.",
    "layer task": "One layer's share of a recall: a search in one kind of memory.",
    "tasks at once": "Layer tasks that may run at the same time in one manager: the limit.",
    "tasks wait": "Layer tasks that are due but have no slot yet.",
    "slot time": "How long layer tasks held their slots: what answers cost.",
    "slot": "A place for one running layer task; there are as many as the limit says.",
    "objective": "What is promised, or what a strategy wants to be small.",
    "budget": "How many recalls of a month may miss what is promised.",
    "canary": "A change on trial: in force, compared with what was before, taken back if it is worse.",
    "experiment": "Two configs in force in turns on live recalls, so that what each brings can be observed.",
    "share": "The part of all recalls or all slot time that falls to one layer or manager.",
    "partial": "An answer that lacks a layer which was asked.",
    "p99": "Of 100 recalls 99 take at most so long.",
}
"""By the word, as it stands in sentences."""

_WORDS = re.compile(rf"\b({'|'.join(sorted(TERMS, key=len, reverse=True))})(?=s?\b)", re.IGNORECASE)


def explained(words: str) -> str:
    """Return plain words as HTML in which the first of each known term explains itself.

    Examples:
        >>> explained("Recall & recall")
        '<abbr tabindex="0" title="One question to the memory, and its answer.">Recall</abbr> &amp; recall'
    """
    seen: set[str] = set()

    def mark(found: re.Match[str]) -> str:
        term = found.group().lower()
        if term in seen:
            return found.group()
        seen.add(term)
        return f'<abbr tabindex="0" title="{html.escape(TERMS[term])}">{found.group()}</abbr>'

    return _WORDS.sub(mark, html.escape(words))
