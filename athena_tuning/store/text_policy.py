"""What of a query's text may leave the process: into a store, a span, a file or a log."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b

from athena_tuning import settings
from athena_tuning.store.errors import StoreError

SETTING = "ATHENA_TUNING_TEXTS"


class TextPolicy(StrEnum):
    """What a store keeps of query texts.

    KEEP keeps them as given, each once. HASH keeps a 64-bit hash, so that repeated queries can still be
    counted; somebody who guesses a text can confirm the guess. DROP keeps nothing. Under HASH and DROP an
    error message is kept only as far as its first colon (the layer or the kind of error), because what
    follows may quote the query; so may a head of several words, and nothing of it is kept.
    """

    KEEP = "keep"
    HASH = "hash"
    DROP = "drop"


def text_policy(environ: Mapping[str, str] = settings.current) -> TextPolicy:
    """Return what ``ATHENA_TUNING_TEXTS`` lets out of this process; without it, all.

    Raises:
        StoreError: if it says something else than "keep", "hash" or "drop".
    """
    named = environ.get(SETTING, "").strip().lower() or TextPolicy.KEEP
    try:
        return TextPolicy(named)
    except ValueError as exc:
        raise StoreError(f"{SETTING} is {named!r}: say {', '.join(TextPolicy)}") from exc


@lru_cache(maxsize=65536)
def text_id(text: str) -> int:
    """Return a 64-bit number that stands for a text; 0 only for the empty one.

    Examples:
        >>> text_id(""), text_id("last deploy?") == text_id("last deploy?")
        (0, True)
    """
    if not text:
        return 0
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True) or 1


def storable(text: str) -> str:
    """Return a text as both databases take it: halves of characters and NUL are replaced.

    Examples:
        >>> storable("tea" + chr(0xD800)), storable("a" + chr(0)) == "a" + chr(0xFFFD)
        ('tea?', True)
    """
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")


def hash_shown(number: int) -> str:
    """Return what stands in for a text of which only the hash was kept.

    Examples:
        >>> hash_shown(255), hash_shown(0)
        ('#00000000000000ff', '')
    """
    return f"#{number % 2**64:016x}" if number else ""


_SHOWN = re.compile(r"#[0-9a-f]{16}")


def is_known(text: str) -> bool:
    """Whether a record's text is one, and not what stands in for one that was not kept.

    Examples:
        >>> is_known("#1 of the list?"), is_known(hash_shown(255)), is_known("")
        (True, False, False)
    """
    return bool(text) and _SHOWN.fullmatch(text) is None


def without_quotes(error: str | None, policy: TextPolicy) -> str | None:
    """Return what the policy lets out of an error message.

    Examples:
        >>> without_quotes("graph: no such column: salary", TextPolicy.HASH)
        'graph'
        >>> without_quotes("nothing is known of Ana", TextPolicy.DROP)
        'failed'
    """
    if not error or policy is TextPolicy.KEEP:
        return error
    head = error.partition(":")[0]
    return head if len(head.split()) == 1 else "failed"
