"""Opens a file as a stream of bytes or text that cannot do harm: gzip with a limit, encodings, long lines."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

HEAD = 1 << 18
"""Bytes that are looked at to tell what a file is."""

_FOREIGN = {
    b"PK\x03\x04": "a zip archive",
    b"\x28\xb5\x2f\xfd": "zstandard data",
    b"BZh": "bzip2 data",
    b"\xfd7zXZ": "xz data",
    b"7z\xbc\xaf": "a 7-zip archive",
    b"SQLite format 3": "a SQLite database",
    b"\x89PNG": "a picture",
    b"%PDF": "a PDF",
}
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What an import takes at most, so that a small file cannot fill memory or never end.

    Attributes:
        ratio: bytes out of gzip for each byte in it; logs reach 30, a bomb 1,000.
        free_bytes: bytes out of gzip before the ratio counts.
        line_bytes: longest line or single JSON element.
        columns: widest table.
        open_spans: spans kept while their traces are incomplete; one with a long text counts as several.
        ids: how many of the latest ids a duplicate is looked for among.
    """

    ratio: float = 100.0
    free_bytes: int = 32 << 20
    line_bytes: int = 64 << 20
    columns: int = 2_000
    open_spans: int = 100_000
    ids: int = 1_000_000


LIMITS = Limits()


class TornFile(ValueError):
    """The file ends or breaks in the middle: what came before is good, what follows is lost."""


@contextmanager
def open_bytes(path: Path, limits: Limits) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Give the content, out of gzip where it is packed, and the raw file, whose ``tell`` is the progress.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is of a kind that nothing here reads.
    """
    with path.open("rb") as raw:
        start = raw.peek(16)[:16]
        for mark, kind in _FOREIGN.items():
            if start.startswith(mark):
                raise ValueError(f"{path.name} is {kind}: unpack or convert it first")
        if start.startswith(b"\x1f\x8b"):
            yield io.BufferedReader(_Unpacked(raw, limits), HEAD), raw
        else:
            yield raw, raw


def encoding_of(head: bytes) -> str:
    """Return the encoding that a byte order mark tells; UTF-8 where there is none.

    Examples:
        >>> encoding_of("a,b".encode("utf-16")), encoding_of(b"a,b")
        ('utf-16', 'utf-8')
    """
    return next((name for mark, name in _BYTE_ORDER_MARKS if head.startswith(mark)), "utf-8")


def check_encoding(name: str | None) -> None:
    """Refuse what is no encoding of text.

    Raises:
        ValueError: naming it.
    """
    if name is None:
        return
    try:
        b"\0\0\0\0".decode(name)
    except LookupError:
        raise ValueError(f"there is no text encoding {name!r:.80}: utf-8, utf-16, latin-1 are some") from None


class _Unpacked(io.RawIOBase):
    """The content of a gzip file, watched."""

    def __init__(self, raw: BinaryIO, limits: Limits) -> None:
        self._raw = raw
        self._unpacked = gzip.GzipFile(fileobj=raw)
        self._limits = limits
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill the buffer.

        Raises:
            TornFile: if the packed data ends or breaks.
            ValueError: if far more comes out than went in.
        """
        view = memoryview(buffer)
        try:
            data = self._unpacked.read1(len(view))
        except (EOFError, gzip.BadGzipFile, zlib.error) as exc:
            raise TornFile(f"the gzip data ends or breaks here: {exc}") from None
        self._count += len(data)
        if self._count > max(self._limits.free_bytes, self._limits.ratio * self._raw.tell()):
            raise ValueError(
                f"more than {self._limits.ratio:g} bytes come out of each byte of this gzip file: "
                "it is not read further; unpack it yourself if it is what you think"
            )
        view[: len(data)] = data
        return len(data)
