"""Where finished runs are kept: one JSON file each, in the data folder."""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
from pathlib import Path

from athena_tuning import locations
from athena_tuning.frames import Records
from athena_tuning.load.summary import LoadSummary

log = logging.getLogger(__name__)

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEPT = 500


class RunArchive:
    """Summaries of runs, newest first. Any number of processes may share one; a file appears whole or not.

    Args:
        folder: where the files are; None: ``runs`` in the data folder.

    Example:
        >>> RunArchive(Path("/nowhere")).newest()
        []
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or locations.home() / "runs"

    def save(self, summary: LoadSummary) -> Path:
        """Keep a summary, in place of one with the same id; beyond 500, the oldest go.

        Raises:
            OSError: if it cannot be written.
            ValueError: if its id is no plain name.
        """
        path = self._path(summary.id)
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self.folder, suffix=".part", delete=False) as file:
            json.dump(summary.to_dict(), file)
        os.replace(file.name, path)
        for old in self._paths()[_KEPT:]:
            old.unlink(missing_ok=True)
        return path

    def load(self, run_id: str) -> LoadSummary:
        """Return a summary.

        Raises:
            KeyError: if there is none with this id.
            ValueError: if its file is damaged, or the id is no plain name; the message says which.
        """
        path = self._path(run_id)
        try:
            return LoadSummary.from_dict(json.loads(path.read_text("utf-8")))
        except FileNotFoundError:
            raise KeyError(run_id) from None
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} does not hold a run: {error}") from error

    def find(self, name: str) -> LoadSummary:
        """Return the summary that a person names: by its id, or "newest" for the one that was kept last.

        Raises:
            ValueError: if there is none, or its file is damaged; the message says which.
        """
        try:
            return self.newest(1)[0] if name == "newest" else self.load(name)
        except (KeyError, IndexError):
            raise ValueError(
                f"there is no run {name}: `athena-tuning load list` names those that are kept"
            ) from None

    def newest(self, limit: int = 50) -> Records[LoadSummary]:
        """Return the newest summaries; a damaged file is passed over, and logged.

        ``to_pandas`` makes a table of them, as that of a summary.

        Example:
            >>> table = RunArchive(Path("/nowhere")).newest().to_pandas()
            >>> [str(table.dtypes[name]) for name in ("started", "p99_ms", "spec_rate_per_s", "spec_clients")]
            ['datetime64[us, UTC]', 'float64', 'float64', 'Int64']
        """
        runs = Records(LoadSummary)
        for path in self._paths():
            if len(runs) == limit:
                break
            try:
                runs.append(self.load(path.stem))
            except KeyError:  # another process has just dropped it
                continue
            except ValueError as error:
                log.warning("%s", error)
        return runs

    def delete(self, run_id: str) -> bool:
        """Drop a run; False if there was none with this id."""
        try:
            self._path(run_id).unlink()
        except FileNotFoundError:
            return False
        return True

    def _path(self, run_id: str) -> Path:
        if not _ID.fullmatch(run_id):
            raise ValueError(f"a run's id has letters, digits, - and _ only, not {run_id!r:.80}")
        return self.folder / f"{run_id}.json"

    def _paths(self) -> list[Path]:
        dated = []
        for path in self.folder.glob("*.json"):
            try:
                dated.append((path.stat().st_mtime_ns, path))
            except FileNotFoundError:  # another process has just dropped it
                continue
        return [path for _, path in sorted(dated, reverse=True)]
