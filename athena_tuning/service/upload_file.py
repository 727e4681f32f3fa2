"""A file that somebody brings: kept while they look at it, limited, read as they say, then stored."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from athena_tuning.interchange import ColumnMapping, Import, Limits, Problem, Stored
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

    Raises:
        ValueError: if it is too large or empty.
    """

    name: str
    content: bytes = field(repr=False)

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

    def opened(self, mapping: ColumnMapping | None = None, *, whole: bool = False) -> Import:
        """Return the file as it is read under a mapping; None guesses one.

        Args:
            mapping: what the columns are.
            whole: refuse the file if a row is bad; else leave such rows out.

        Raises:
            ValueError: if it is nothing that can be read, too wide, or does not fit the mapping.
        """
        return Import(self.path, mapping, on_bad="refuse" if whole else "skip", limits=_LIMITS)


@dataclass(frozen=True, slots=True)
class Looked:
    """What a file looks like under a mapping: its first records, and the bad rows among them."""

    found: Import
    records: list[QueryMetrics]
    problems: list[Problem]
    trouble: str | None = None


def look(upload: Upload, changes: Mapping[str, Any] | None = None, *, whole: bool = False) -> Looked:
    """Look at a file with the guessed mapping, or with that one corrected.

    Raises:
        ValueError: as ``Upload.opened`` does. A mapping that lacks the time is no error: ``trouble`` says it.
    """
    found = upload.opened(whole=whole)
    try:
        if changes and found.mapping is not None:
            found = upload.opened(found.mapping.corrected(**changes), whole=whole)
        records, problems = found.preview(SHOWN)
    except ValueError as trouble:
        return Looked(found, [], [], str(trouble))
    return Looked(found, records, problems)


def bring(
    service: TuningService, actor: Actor, upload: Upload, found: Import, *, keep_times: bool = False
) -> Stored:
    """Import a file that was looked at, if it has not too many rows.

    Raises:
        ValueError: if it has too many rows, or none that can be read; nothing was stored.
        Others: as ``TuningService.import_file`` does.
    """

    def bounded(_: int, __: int) -> None:
        if found.report.records + found.report.bad > MOST_ROWS:
            raise _TooManyRows

    try:
        return service.import_file(actor, found, keep_times=keep_times, progress=bounded)
    except _TooManyRows:
        raise ValueError(
            f"{upload.name} has more than {MOST_ROWS:,} rows, which is the most that is taken here. "
            "The command line takes any number: athena-tuning import"
        ) from None


class _TooManyRows(Exception):
    """No ``ValueError``: a reader takes that for the end of what can be read."""
