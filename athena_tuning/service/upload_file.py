"""A file that somebody brings: kept while they look at it, limited, read as they say, then stored."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from athena_tuning.interchange import Doubt, Import, Limits, Problem, Stored, registry
from athena_tuning.interchange.survey import Survey
from athena_tuning.model import QueryMetrics
from athena_tuning.service import text
from athena_tuning.service.roles import Actor
from athena_tuning.service.tuning_service import TuningService

MOST_MB = 20
MOST_ROWS = 200_000
MOST_COLUMNS = 200
SUFFIXES = ("csv", "tsv", "txt", "log", "json", "jsonl", "ndjson", "parquet", "gz")
SHOWN = 20
"""Records of a preview."""

WHAT: Mapping[str, str] = {
    "start": "Began",
    "end": "Ended",
    "latency": "Took",
    "query_text": "Query text",
    "query_type": "Query type",
    "success": "Succeeded",
    "error": "Error",
    "cache_hit": "Cache hit",
    "result_count": "Results",
    "query_id": "Id",
}
"""What a column may be taken for, as a person is asked."""

_LIMITS = Limits(columns=MOST_COLUMNS, free_bytes=MOST_MB << 20, ratio=60.0)


@dataclass
class Upload:
    """A file in a folder of its own, which goes with this object.

    Args:
        name: as its owner called it; only its ending is used.
        content: its bytes.

    Attributes:
        previewed: what it looked like last, and how it was read then.

    Raises:
        ValueError: if it is too large or empty.
    """

    name: str
    content: bytes = field(repr=False)
    previewed: tuple[UploadReading, UploadPreview] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.content) > MOST_MB << 20:
            raise ValueError(
                f"the file has {len(self.content) / (1 << 20):.0f} MB; at most {MOST_MB} MB are taken here. "
                "The command line takes any size: athena-tuning import"
            )
        if not self.content:
            raise ValueError("the file is empty")
        self._folder = tempfile.TemporaryDirectory(prefix="athena-upload-")
        suffix = "".join(PurePosixPath(self.name).suffixes[-2:])
        shown = text.plain(PurePosixPath(self.name).stem, 60).replace("/", "_").strip(". ") or "upload"
        self.path = Path(self._folder.name, f"{shown.split('.')[0]}{suffix}")
        self.path.write_bytes(self.content)
        self.content = b""

    def opened(self, reading: UploadReading | None = None) -> Import:
        """Return the file as a person wants it read; None: as its content tells.

        Raises:
            ValueError: if it is nothing that can be read, too wide, or does not fit what they said.
        """
        reading = reading or UploadReading()
        return Import(
            self.path,
            format=reading.format,
            recall_span=reading.recall_span,
            layer_attribute=reading.layer_attribute,
            corrections=dict(reading.corrections),
            on_bad="refuse" if reading.whole else "skip",
            limits=_LIMITS,
        )


@dataclass(frozen=True, slots=True)
class UploadReading:
    """How a person wants a file read.

    Attributes:
        format: name of the format; None: told from the content.
        recall_span: which spans are recalls; None: by the rules.
        layer_attribute: which attribute names a layer; None: by the rules.
        corrections: what of the mapping is another, by name.
        whole: refuse the file if a row is bad; else such rows are left out.
    """

    format: str | None = None
    recall_span: str | None = None
    layer_attribute: str | None = None
    corrections: tuple[tuple[str, Any], ...] = ()
    whole: bool = False


@dataclass(frozen=True, slots=True)
class UploadPreview:
    """What a file looks like under a reading.

    Attributes:
        opened: the file.
        records: its first records.
        problems: the bad rows among them.
        seen: its figures; None where it cannot be read yet.
        doubts: what has to be confirmed before it is stored.
        trouble: why it cannot be read yet.
    """

    opened: Import
    records: list[QueryMetrics]
    problems: list[Problem]
    seen: Survey | None = None
    doubts: tuple[Doubt, ...] = ()
    trouble: str | None = None


def preview(upload: Upload, reading: UploadReading | None = None) -> UploadPreview:
    """Look at a file as a person wants it read; asked again of the same, the answer is kept.

    Args:
        upload: the file.
        reading: how.

    Raises:
        ValueError: as ``Upload.opened`` does. A mapping that lacks the time is no error: ``trouble`` says it.
    """
    reading = reading or UploadReading()
    if upload.previewed is None or upload.previewed[0] != reading:
        upload.previewed = reading, _previewed(upload.opened(reading))
    return upload.previewed[1]


def _previewed(opened: Import) -> UploadPreview:
    try:
        records, problems = opened.preview(SHOWN)
        seen = opened.survey(limit=MOST_ROWS)
    except ValueError as trouble:
        return UploadPreview(opened, [], [], trouble=str(trouble))
    return UploadPreview(opened, records, problems, seen, tuple(opened.doubts(seen, time.time())))


def formats() -> dict[str, str]:
    """Return the titles of the formats that can be chosen, by name."""
    return {known.name: known.title for known in registry().recognisers if not known.refuses}


def import_upload(
    service: TuningService,
    actor: Actor,
    upload: Upload,
    opened: Import,
    *,
    keep_times: bool = False,
    confirmed: bool = False,
) -> Stored:
    """Import a file that was looked at, if it has not too many rows.

    Raises:
        ValueError: if it has too many rows, or none that can be read; nothing was stored.
        Others: as ``TuningService.import_file`` does.
    """

    def bounded(_: int, __: int) -> None:
        report = opened.report
        if report.records + report.bad + report.passed > MOST_ROWS:
            raise _TooManyRows

    try:
        return service.import_file(
            actor, opened, keep_times=keep_times, confirmed=confirmed, progress=bounded
        )
    except _TooManyRows:
        raise ValueError(
            f"{upload.name} has more than {MOST_ROWS:,} rows, which is the most that is taken here. "
            "The command line takes any number: athena-tuning import"
        ) from None


class _TooManyRows(Exception):
    """No ``ValueError``: a reader takes that for the end of what can be read."""
