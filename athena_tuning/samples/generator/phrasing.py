"""How a sentence comes to be: a template with choices, filled with facts."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from random import Random

from athena_tuning.samples.generator.team import SERVICE

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_OPENING = re.compile(r"(^|(?<!\d)[.?!] )([a-z][\w.-]*)")
_NAMES = frozenset(SERVICE) | {store for service in SERVICE.values() for store in service.stores}


def say(rng: Random, template: str, /, **facts: object) -> str:
    """Return the template with one of each ``[this|that]`` taken and every ``{name}`` filled in.

    Choices may be nested; an empty alternative leaves nothing behind, and white space is made single.

    Examples:
        >>> say(Random(1), "{who} [fixed|repaired] it[| again].", who="Ana") in {
        ...     "Ana fixed it.", "Ana repaired it.", "Ana fixed it again.", "Ana repaired it again."}
        True
    """
    text = template
    while _CHOICE.search(text):
        text = _CHOICE.sub(lambda choice: rng.choice(choice[1].split("|")), text)
    return " ".join(text.format(**facts).split())


def sentences(text: str) -> str:
    """Return the text with a capital at the start of each sentence; names of services and settings stay.

    Examples:
        >>> sentences("restarted it. tracker is back. all good.")
        'Restarted it. tracker is back. All good.'
    """
    return _OPENING.sub(lambda choice: choice[1] + _opened(choice[2]), text)


def _opened(word: str) -> str:
    return word if word in _NAMES or "_" in word else word[0].upper() + word[1:]


def day(moment: float) -> str:
    """Return the day as people write it: 3 March 2026."""
    at = datetime.fromtimestamp(moment, UTC)
    return f"{at.day} {at:%B %Y}"


def clock_time(moment: float) -> str:
    """Return the time of day in UTC: 14:05."""
    return f"{datetime.fromtimestamp(moment, UTC):%H:%M}"


def listed(names: list[str] | tuple[str, ...]) -> str:
    """Return names as a sentence has them: a, b and c.

    Examples:
        >>> listed(("a", "b", "c")), listed(["a"])
        ('a, b and c', 'a')
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
