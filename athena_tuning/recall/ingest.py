"""Loads items from JSON lines."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from athena_tuning.recall.items import Item

if TYPE_CHECKING:
    from athena_tuning.recall.manager import MemoryManager

BATCH = 500
MAX_LINE = 16_000_000
"""Longest line in bytes; a longer one is not an item."""


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What became of a file.

    Attributes:
        loaded: items remembered.
        by_layer: the same by layer.
        bad: (line number from 1, reason) of every line that was left out.
    """

    loaded: int
    by_layer: Mapping[str, int]
    bad: list[tuple[int, str]]


def ingest_file(
    manager: MemoryManager, path: Path | str, progress: Callable[[int, int], None] | None = None
) -> IngestReport:
    """Load a ``.jsonl`` or ``.jsonl.gz`` file of items into a manager's memory.

    A line is an item as ``Item.from_dict`` reads it; empty lines are passed over. A bad line is reported and
    the rest load. Loading a file again replaces its items.

    Args:
        manager: who remembers.
        path: the file.
        progress: told (bytes of the file read, its size) after each batch.

    Raises:
        OSError: if the file cannot be read.
    """
    path = Path(path)
    size = path.stat().st_size
    by_layer: Counter[str] = Counter()
    bad: list[tuple[int, str]] = []
    batch: list[Item] = []

    def keep() -> None:
        by_layer.update(manager.remember_many(batch))
        batch.clear()
        if progress is not None:
            progress(min(raw.tell(), size), size)

    with path.open("rb") as raw:
        for number, line in _lines(raw, bad):
            try:
                item = Item.from_dict(json.loads(line.decode("utf-8-sig")))
                manager.check_layer(item)
            except (ValueError, RecursionError) as exc:
                bad.append((number, _reason(exc)))
                continue
            batch.append(item)
            if len(batch) == BATCH:
                keep()
        keep()
    manager.memory.join_parts()
    return IngestReport(sum(by_layer.values()), dict(by_layer), sorted(bad))


def _lines(raw: io.BufferedReader, bad: list[tuple[int, str]]) -> Iterator[tuple[int, bytes]]:
    """Give the lines that are not empty, by number; a torn gzip stream ends them and is reported."""
    packed = raw.peek(2)[:2] == b"\x1f\x8b"
    stream = io.BufferedReader(gzip.GzipFile(fileobj=raw)) if packed else raw
    number = 0
    try:
        while line := stream.readline(MAX_LINE):
            number += 1
            if len(line) == MAX_LINE and not line.endswith(b"\n"):
                bad.append((number, f"longer than {MAX_LINE:,} bytes"))
                while line and not line.endswith(b"\n"):
                    line = stream.readline(MAX_LINE)
            elif line.strip():
                yield number, line
    except (EOFError, gzip.BadGzipFile, zlib.error) as exc:
        bad.append((number + 1, f"the file ends or breaks here: {exc}"))


def _reason(exc: ValueError | RecursionError) -> str:
    if isinstance(exc, json.JSONDecodeError):
        return f"not JSON: {exc.msg} at character {exc.pos + 1}"
    if isinstance(exc, UnicodeDecodeError):
        return "not UTF-8"
    if isinstance(exc, RecursionError):
        return "nested too deeply"
    return str(exc)
