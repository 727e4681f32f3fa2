"""Brings a file of measurements into a store: every record once, whatever interrupts it.

A note in the data folder says how far an import's times were moved, and each batch has a number that the
store takes once. So an import that was cut off is finished by the same call, and a file that is in the store
does not come in twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Self

from athena_tuning import locations
from athena_tuning.interchange.plausibility import NeedsConfirmation
from athena_tuning.interchange.reading import Import
from athena_tuning.interchange.report import ImportRefused, ImportReport
from athena_tuning.interchange.row_source import Progress
from athena_tuning.model import QueryMetrics, Source
from athena_tuning.model.source import batch_of, kind_of, of_batch
from athena_tuning.store import Store
from athena_tuning.store.retention import DEFAULT

BATCH = 4096
"""Records in a batch: a store rolls up a batch in one step, and meanwhile others wait for its lock."""

_EARLIER_BATCH = 8192
_KEY_SHOWN = 12
_AHEAD_S = 60.0


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of an import.

    Attributes:
        report: what is in the file.
        moved_s: seconds by which all times were moved.
        batch: id of what was stored, or had been stored earlier: behind the colon of its records' source.
        earlier: Unix seconds at which the same file had been imported; then nothing was done. Else None.
    """

    report: ImportReport
    moved_s: float
    batch: str
    earlier: float | None = None


def store_import(
    opened: Import,
    store: Store,
    *,
    keep_times: bool = False,
    again: bool = False,
    confirmed: bool = False,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.time,
) -> Stored:
    """Put a file's records into a store.

    The file is read once to see whether and when, then again to store it. Where its newest record is older
    than what a store keeps, or lies ahead, all times are moved so that it is now.

    Args:
        opened: the file, with its mapping; if it was opened to be refused, one bad row refuses it.
        store: takes the records.
        keep_times: move nothing.
        again: import a file once more that has been imported.
        confirmed: a person has said that what is odd about the file is right.
        progress: told (bytes done, bytes to do) over both readings.
        clock: Unix seconds.

    Raises:
        ImportRefused: if a row is bad and the file is to be whole; nothing was stored.
        NeedsConfirmation: if something about it is odd and nobody has confirmed it; nothing was stored.
        ValueError: if there is no query in it.
        StoreError: if the store did not take it all; the same call goes on where it ended.
    """
    key = _key(opened, store)
    note = _Note.of(key)
    if note.done is not None and not again:
        return Stored(opened.report, note.moved_s, note.batch(opened.path, key), note.done)
    seen = opened.survey(_half(progress, 0))
    report = seen.report
    if report.bad and opened.on_bad == "refuse":
        raise ImportRefused(opened.path.name, report)
    if not report.records:
        worst = f": row {report.problems[0].row:,}: {report.problems[0].reason}" if report.problems else ""
        raise ValueError(f"{opened.path.name} holds no query that can be read{worst}")
    if not confirmed and (doubts := opened.doubts(seen, clock())):
        raise NeedsConfirmation(opened.path.name, doubts)
    if note.round == 0 or note.done is not None:
        note = _Note(note.round + 1, 0.0 if keep_times else _move(report, clock()), size=BATCH)
        note.write(key)
    records = opened.stream(_half(progress, 1), shift=note.moved_s)
    number, batch_id = 0, note.batch(opened.path, key)
    worker = f"import-{key[:_KEY_SHOWN]}-{note.round}"
    while batch := list(islice(records, note.size)):
        number += 1
        store.append_metrics(worker, number, [_of_batch(m, batch_id) for m in batch])
    replace(note, done=clock()).write(key)
    return Stored(opened.report, note.moved_s, batch_id)


def forget_import(source: str) -> None:
    """Forget that a file was imported, after its batch was taken out: it may come again."""
    parts = batch_of(source).rsplit("-", 2)
    if len(parts) == 3 and re.fullmatch(rf"[0-9a-f]{{{_KEY_SHOWN}}}", parts[1]):
        for place in (locations.home() / "imports").glob(f"{parts[1]}*.json"):
            place.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Note:
    """What is known of the imports of one file into one store."""

    round: int = 0
    moved_s: float = 0.0
    done: float | None = None
    size: int = _EARLIER_BATCH

    @classmethod
    def of(cls, key: str) -> Self:
        try:
            return cls(**json.loads(_place(key).read_text("utf-8")))
        except FileNotFoundError:
            return cls()

    def batch(self, path: Path, key: str) -> str:
        """Return the id of what this import stores."""
        name = re.sub(r"[^A-Za-z0-9]+", "-", path.name).strip("-")[:40]
        return f"{name}-{key[:_KEY_SHOWN]}-{self.round}"

    def write(self, key: str) -> None:
        place = _place(key)
        locations.make_private_folder(place.parent)
        new = place.with_suffix(f".{os.getpid()}.part")
        new.write_text(json.dumps(asdict(self)), "utf-8")
        new.replace(place)


def _of_batch(m: QueryMetrics, batch: str) -> QueryMetrics:
    return m._replace(source=of_batch(Source(kind_of(m.source)), batch))


def _place(key: str) -> Path:
    return locations.home() / "imports" / f"{key}.json"


def _key(opened: Import, store: Store) -> str:
    """Return a name for the same content, read in the same way, into the same store."""
    mapping = opened.mapping.to_dict() if opened.mapping else None
    place = store.url or f"{os.getpid()} {id(store)}"  # a store of this process is gone with it
    chosen = [part for part in (opened.choice.recall, opened.choice.layer_attribute) if part]
    reading = [place, mapping, opened.on_bad, *chosen]
    digest = hashlib.sha256(json.dumps(reading).encode())
    with opened.path.open("rb") as file:
        digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:32]


def _move(report: ImportReport, now: float) -> float:
    assert report.last is not None  # noqa: S101 (there are records)
    return 0.0 if now - DEFAULT.raw <= report.last <= now + _AHEAD_S else now - report.last


def _half(progress: Progress | None, half: int) -> Progress | None:
    """Return what tells the progress of one of the two readings as that of both."""
    if progress is None:
        return None
    return lambda done, size: progress(half * size + done, 2 * size)
