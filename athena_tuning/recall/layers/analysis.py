"""How texts of any script become words of the index: by the same rules for what is kept and what is asked.

The index itself (FTS5's "porter ascii") splits at what is no letter or digit in ASCII, folds ASCII case and
stems English; everything else is done here, so that no rule depends on SQLite's own Unicode tables.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

_UPPER, _LOWER = "A-ZÆØĐŁÞŒΑ-ΩЀ-Я", "a-zæøđłþœßα-ωа-џ"
_CODE_HINT = re.compile(
    f"[{_UPPER}0-9+#](?:(?<=[{_LOWER}][{_UPPER}])|(?<=[{_UPPER}])(?=[{_UPPER}][{_LOWER}])"
    f"|(?<=[0-9][{_UPPER}])(?=[{_LOWER}])|(?<=[A-Za-z][0-9])(?=[0-9]*\\.[0-9])|(?<=[A-Za-z][+#]))"
)
"""Anything that ``_SYMBOL``, ``_VERSION`` or ``_CAMEL`` may find; most texts have none of it."""

_SYMBOL = re.compile(r"\b([A-Za-z]+)(\+\+|[+#](?!\w))")
_SYMBOL_NAMES = {"++": "plusplus", "+": "plus", "#": "sharp"}
_VERSION = re.compile(r"\b([A-Za-z]+)([0-9]+(?:\.[0-9]+)+)")
_WORD = re.compile(r"[^\W_]+")
_CAMEL = re.compile(
    f"(?<=[{_LOWER}])(?=[{_UPPER}])|(?<=[{_UPPER}])(?=[{_UPPER}][{_LOWER}])|(?<=[0-9])(?=[{_UPPER}][{_LOWER}])"
)

_RAISED = re.compile("[¹²³⁰-⁹™℠]+")
_BLOCKS_WITHOUT_SPACES = (
    *((0x0E01, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17DD)),  # Thai and Lao, Burmese, Khmer
    *((0x1100, 0x11FF), (0xAC00, 0xD7A3)),  # Hangul
    *((0x3005, 0x3007), (0x3021, 0x3029), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF)),  # Han
    (0x20000, 0x3FFFF),
    *((0x3041, 0x309F), (0x30A1, 0x30FA), (0x30FC, 0x30FF), (0x31F0, 0x31FF)),  # Kana
)
_UNSPACED = "".join(f"{chr(first)}-{chr(last)}" for first, last in _BLOCKS_WITHOUT_SPACES)
_SIGNS = "".join(
    chr(point)
    for first, last in _BLOCKS_WITHOUT_SPACES[:5]
    for point in range(first, min(last, first + 0xFF) + 1)
    if unicodedata.category(chr(point)) in ("Mn", "Mc")
)
_LETTER = re.compile(f"[^{_SIGNS}][{_SIGNS}]*|[{_SIGNS}]+")

UNSPACED_RUN = re.compile(f"[{_UNSPACED}]+")
"""Letters of a script that puts no space between words, or hangs particles on them."""


def index_words(text: str) -> str:
    """Return a text as the index takes it in.

    Examples:
        >>> index_words("Café: call getInvoiceTotal")
        'Cafe: call getInvoiceTotal / get Invoice Total'
        >>> index_words("东京站 runs v1.2")
        '东京 京站 站  runs v1.2 / 1.2'
    """
    words = spelled_out(text)
    if words.isascii():
        return words
    return UNSPACED_RUN.sub(_spaced, words.casefold()).strip()


def spelled_out(text: str) -> str:
    """Return a text in characters that compare, with the parts of its code words beside them.

    What compares is the text in NFKC without accents, without vowel signs that writers leave out, without
    invisible characters, with digits of any script as 0 to 9. Signs outside ASCII become spaces, or their
    likeness in ASCII. Its case stays.

    Examples:
        >>> spelled_out("ﬁle №７"), spelled_out("Zoë’s HTTPServer"), spelled_out("C++ on python3.11")
        ('file No7', "Zoe's HTTPServer / HTTP Server", 'Cplusplus  on python3.11 / python 3.11')
    """
    if not text.isascii():
        raised = _RAISED.sub(r" \g<0>", text)
        decomposed = unicodedata.normalize("NFKD", raised).translate(_COMPARABLE)
        text = unicodedata.normalize("NFC", decomposed)
    if _CODE_HINT.search(text):
        text = _VERSION.sub(_with_number, text)
        text = _WORD.sub(_with_parts, text)
        text = _SYMBOL.sub(_named_symbol, text)
    return text


def letters(run: str) -> list[str]:
    """Return the letters of a run of a script without spaces, each with the signs that stand on it."""
    return _LETTER.findall(run)


def pairs(run: list[str]) -> list[str]:
    """Return each two neighbours, joined.

    Examples:
        >>> pairs(letters("数据库"))
        ['数据', '据库']
    """
    return [one + other for one, other in pairwise(run)]


def _spaced(run: re.Match[str]) -> str:
    """Return a run as pairs of letters; each letter begins one, so that it can be found as a prefix."""
    parts = letters(run[0])
    return f" {' '.join([*pairs(parts), parts[-1]])} "


def _named_symbol(match: re.Match[str]) -> str:
    word, symbol = match.groups()
    named = f"{word}{_SYMBOL_NAMES[symbol]} "
    return named if len(word) == 1 else f"{word} {named}"


def _with_number(match: re.Match[str]) -> str:
    word, number = match.groups()
    return f"{match[0]} / {number}" if len(word) == 1 else f"{match[0]} / {word} {number}"


def _with_parts(match: re.Match[str]) -> str:
    parts = _CAMEL.split(match[0])
    return match[0] if len(parts) == 1 else f"{match[0]} / {' '.join(parts)}"


class _Comparable(dict[int, "str | int | None"]):
    """For ``str.translate``: what each decomposed character becomes, worked out when it is first met."""

    def __missing__(self, point: int) -> str | int | None:
        if len(self) >= 20_000:
            self.clear()
        self[point] = made = _comparable(chr(point))
        return made


_COMPARABLE = _Comparable()
_LIKE = {"’": "'", "‘": "'", "ʼ": "'", "‐": "-", "。": ". ", "؟": "? ", "\u200b": " "}
_DROPPED = frozenset("\u0640\u034f\u180b\u180c\u180d\u180f") | frozenset(map(chr, range(0xFE00, 0xFE10)))


def _comparable(char: str) -> str | int | None:
    if char.isascii():
        return char
    if char in _LIKE:
        return _LIKE[char]
    category = unicodedata.category(char)
    if category == "Cf" or char in _DROPPED or 0xE0100 <= ord(char) <= 0xE01EF:
        return None
    if category in ("Mn", "Mc"):
        place = unicodedata.combining(char)  # 10 to 36: Hebrew and Arabic vowels; from 200: accents
        return None if 10 <= place <= 36 or place >= 200 else char
    if category == "Nd":
        return str(unicodedata.decimal(char))
    return char if char.isalnum() else " "
