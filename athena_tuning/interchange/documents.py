"""Elements of one large JSON document, one at a time, in the memory of the largest element."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from athena_tuning.interchange.opening import Limits, TornFile, encoding_of

_CHUNK = 1 << 16
_SPACE = re.compile(r"[\s]*")
_decode = json.JSONDecoder().raw_decode


def elements(
    stream: BinaryIO, head: bytes, path: Sequence[str] | None, encoding: str | None, limits: Limits
) -> Iterator[Any]:
    """Give the elements of the array at ``path``, in every document of the file, one after the other.

    Args:
        stream: the content.
        head: its beginning.
        path: names of the objects' members that lead to the array; () if the document is the array. An array
            on the way stands for each of its items. Where a document has something else in that place, it has
            no elements. None: each document is one.
        encoding: how it is written; None: by its byte order mark, else UTF-8.
        limits: largest element.

    Raises:
        ValueError: if the text is no JSON, with the place; ``TornFile`` if it ends in the middle.

    Examples:
        >>> import io
        >>> two = b'{"took": 1, "data": [1, {"a": 2}]} {"data": [3]}'
        >>> list(elements(io.BytesIO(two), two, ["data"], None, Limits()))
        [1, {'a': 2}, 3]
        >>> nested = b'{"a": [{"b": [1, 2]}, {"b": [3]}]}'
        >>> list(elements(io.BytesIO(nested), nested, ["a", "b"], None, Limits()))
        [1, 2, 3]
    """
    text = _Text(stream, encoding or encoding_of(head), limits.line_bytes)
    while text.peek():
        if path is None:
            yield text.value()
        else:
            yield from _descend(text, tuple(path))


def _descend(text: _Text, path: tuple[str, ...]) -> Iterator[Any]:
    if not path and text.peek() == "[":
        yield from _items(text)
    elif path and text.peek() == "[":
        for _ in _places(text):
            if text.peek() == "{":
                yield from _descend(text, path)
            else:  # a list in a list leads nowhere
                text.value()
    elif path and text.peek() == "{":
        for name in _members(text):
            if name == path[0]:
                yield from _descend(text, path[1:])
            else:
                text.value()
    else:
        text.value()


def _items(text: _Text) -> Iterator[Any]:
    for _ in _places(text):
        yield text.value()


def _places(text: _Text) -> Iterator[None]:
    """Stop at each item of an array; whoever asked passes over it."""
    text.expect("[")
    while text.peek() != "]":
        yield
        if text.peek() != "]":
            text.expect(",")
    text.expect("]")


def _members(text: _Text) -> Iterator[str]:
    text.expect("{")
    while text.peek() != "}":
        name = text.value()
        text.expect(":")
        yield name
        if text.peek() != "}":
            text.expect(",")
    text.expect("}")


class _Text:
    """Text that comes in pieces, and the JSON value that begins at its cursor."""

    def __init__(self, stream: BinaryIO, encoding: str, limit: int) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._limit = limit
        self._buffer = ""
        self._at = 0
        self._passed = 0
        self._ended = False

    def peek(self) -> str:
        """Return the next sign that is no space, "" at the end."""
        if (sign := self._buffer[self._at : self._at + 1]) and sign not in " \n\r\t":  # nearly always
            return sign
        while True:
            self._at = _SPACE.match(self._buffer, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._more():
                return ""

    def expect(self, sign: str) -> None:
        """Pass over ``sign``.

        Raises:
            ValueError: if something else is there.
        """
        sign_there = self.peek()
        if sign_there != sign:
            raise (
                self._wrong(f"{sign!r} was expected, {sign_there!r} is there") if sign_there else self._torn()
            )
        self._at += 1

    def value(self) -> Any:
        """Return the value at the cursor and pass over it."""
        if not self.peek():
            raise self._torn()
        wanted = _CHUNK
        while True:
            value, problem = self._try()
            if problem is None:
                return value
            size = len(self._buffer) - self._at
            if size > self._limit:
                raise self._wrong(f"an element is longer than {self._limit:,} characters")
            if not _is_cut(problem, len(self._buffer)):
                raise self._wrong(problem)
            if self._ended:
                raise self._torn()
            wanted = 2 * max(wanted, size)
            while len(self._buffer) - self._at < wanted and self._more():
                pass

    def _try(self) -> tuple[Any, ValueError | None]:
        """Return the value at the cursor, or what is wrong with what there is of it."""
        try:
            value, end = _decode(self._buffer, self._at)
        except RecursionError:
            raise self._wrong("nested too deep to be read") from None
        except ValueError as exc:
            return None, exc
        if end == len(self._buffer) and not self._ended:
            return None, ValueError("a number could go on in the next piece")
        self._at = end
        return value, None

    def _more(self) -> bool:
        """Read another piece; False at the end."""
        if self._ended:
            return False
        data = self._stream.read1(1 << 20)  # type: ignore[attr-defined]
        try:
            piece = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as exc:
            raise self._wrong(f"not {exc.encoding}: name the encoding") from None
        self._ended = not data
        if self._at:
            self._passed += self._at
            self._buffer = self._buffer[self._at :] + piece
            self._at = 0
        else:
            self._buffer += piece
        return bool(data)

    def _wrong(self, problem: object) -> ValueError:
        what = problem.msg if isinstance(problem, json.JSONDecodeError) else problem
        return ValueError(f"not JSON near character {self._passed + self._at + 1:,}: {what}")

    def _torn(self) -> TornFile:
        return TornFile(f"the file ends in the middle, after character {self._passed + len(self._buffer):,}")


def _is_cut(problem: ValueError, length: int) -> bool:
    """Whether more text could mend it: a string without an end, or trouble with the very last signs."""
    if not isinstance(problem, json.JSONDecodeError):
        return True
    return problem.msg.startswith("Unterminated") or problem.pos >= length - len("-Infinity")
