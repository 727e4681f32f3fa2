"""Writes records as CSV, JSON lines or Parquet: what an import reads back."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from athena_tuning.extras import needs_extra
from athena_tuning.interchange import record_csv, record_json, record_parquet
from athena_tuning.model import QueryMetrics
from athena_tuning.store import Store

SUFFIXES = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet")
"""Endings of a file's name, each of which is a format."""

BATCH = 8192

Progress = Callable[[int], None]
"""Told how many records are written so far."""


def export_records(
    records: Iterable[QueryMetrics], path: Path | str, progress: Progress | None = None
) -> int:
    """Write records in the format of the path's ending; return how many.

    A file that is there already is replaced once the new one is whole; if anything fails it stays. What is
    unknown is empty (CSV) or null. In CSV a text that a spreadsheet could take for a formula begins with an
    apostrophe, which the import takes away.

    Args:
        records: what to write, in this order; they are streamed.
        path: ends with one of ``SUFFIXES``.
        progress: told how many are written, now and then.

    Raises:
        ValueError: if the ending is none of ``SUFFIXES``.
        MissingExtra: if it is Parquet and the extra ``files`` is not installed.
        OSError: if the file cannot be written.

    Examples:
        >>> from athena_tuning.interchange import Import
        >>> path = Path(tempfile.mkdtemp(), "m.csv")
        >>> export_records([QueryMetrics("q", "=1+1", "meta", 5.0, None, None, None, 1, [], {}, True)], path)
        1
        >>> [(m.query_text, m.latency_ms) for m in Import(path).records()]
        [('=1+1', None)]
    """
    path = Path(path)
    suffix = format_of(path)
    counted = _Counted(records, progress)
    with replacing(path) as new:
        if suffix == ".parquet":
            _write_parquet(counted, new)
        else:
            with text_file(new, packed=suffix.endswith(".gz")) as file:
                (_write_csv if suffix.startswith(".csv") else _write_jsonl)(counted, file)
    counted.tell()
    return counted.count


def format_of(path: Path) -> str:
    """Return which of ``SUFFIXES`` a file's name ends with.

    Raises:
        ValueError: if it is none.
    """
    suffix = next((end for end in SUFFIXES if path.name.lower().endswith(end)), None)
    if suffix is None:
        raise ValueError(f"{path.name} ends with none of {', '.join(SUFFIXES)}: the ending is the format")
    return suffix


def stored_records(
    store: Store,
    *,
    since: float = 0.0,
    until: float = float("inf"),
    query_type: str | None = None,
    layer: str | None = None,
    sources: Collection[str] | None = None,
) -> Iterator[QueryMetrics]:
    """Give all raw records of a store, as they were stored.

    Args:
        store: where they are.
        since: earliest time, Unix seconds.
        until: records of this time and later are left out.
        query_type: only records of this type.
        layer: only records of recalls that asked this layer.
        sources: only records of these kinds of sources, or batches; None: of all.
    """
    cursor = ""
    while True:
        tail = store.tail_metrics(cursor, since=since, limit=BATCH, sources=sources)
        for record in tail.records:
            if (
                since <= record.timestamp < until
                and query_type in (None, record.query_type)
                and (layer is None or layer in record.layers_queried)
            ):
                yield record
        if tail.cursor == cursor:
            return
        cursor = tail.cursor


class _Counted:
    def __init__(self, records: Iterable[QueryMetrics], progress: Progress | None) -> None:
        self.count = 0
        self._records = records
        self._progress = progress

    def __iter__(self) -> Iterator[QueryMetrics]:
        for record in self._records:
            yield record
            self.count += 1
            if self.count % BATCH == 0:
                self.tell()

    def tell(self) -> None:
        if self._progress is not None:
            self._progress(self.count)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a new file beside ``path`` that takes its place in the end, or is gone.

    It quotes people's questions, so it is for this user alone; one that was there keeps its rights.
    """
    if not path.parent.is_dir():
        raise NotADirectoryError(f"{path.parent} is not a folder: {path.name} cannot be written there")
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    new = Path(name)
    try:
        yield new
        if path.exists():
            new.chmod(path.stat().st_mode & 0o777)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


@contextmanager
def text_file(path: Path, *, packed: bool) -> Iterator[TextIO]:
    """Open a new text file, gzipped if ``packed``; the same text gives the same bytes."""
    with path.open("wb") as raw:
        stream: Any = gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if packed else raw
        with io.TextIOWrapper(stream, "utf-8", errors="replace", newline="") as file:
            yield file


def _write_csv(records: Iterable[QueryMetrics], file: TextIO) -> None:
    writer = csv.writer(file)
    writer.writerow(record_json.FIELDS)
    writer.writerows(map(record_csv.to_cells, records))


def _write_jsonl(records: Iterable[QueryMetrics], file: TextIO) -> None:
    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
    for record in records:
        file.write(f"{encode(record_json.to_plain(record))}\n")


def _write_parquet(records: Iterable[QueryMetrics], path: Path) -> None:
    with needs_extra("files", "Parquet"):
        import pyarrow.parquet as pq

    waiting = iter(records)
    with pq.ParquetWriter(path, record_parquet.schema(), compression="zstd") as writer:
        while batch := list(islice(waiting, BATCH)):
            writer.write_table(record_parquet.to_table(batch))
