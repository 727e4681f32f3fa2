"""What keeps a store well, by its URL: check, backup, restore, repair, compact.

Each works on SQLite, also while managers use the file. On PostgreSQL the database's own tools have the part
that is theirs, and errors name them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from athena_tuning.locations import default_store_url
from athena_tuning.store import sqlite_care
from athena_tuning.store.base import Store
from athena_tuning.store.errors import StoreError
from athena_tuning.store.health import UnreadableRow
from athena_tuning.store.opening import open_store, sqlite_file
from athena_tuning.store.retention import Level
from athena_tuning.store.sqlite_salvage import Progress

_FAR_AHEAD, _ALL = 4e9, 10**9
_DUMP = "pg_dump --format=custom --schema=athena_tuning --file=FILE URL"
_OWN_TOOLS = {
    "backup": f"PostgreSQL makes its own: {_DUMP}",
    "restore": "PostgreSQL does it itself: pg_restore --clean --dbname=URL FILE; managers go on with it",
    "repair": "PostgreSQL has its own tools: pg_amcheck finds damage; restore a backup with pg_restore",
}


@dataclass(frozen=True, slots=True)
class StoreCheck:
    """What a check has found.

    Attributes:
        store_id: which store it is.
        epoch: how often its content was replaced while in use.
        records: raw records that can be read; None where damage keeps all from being read.
        config_versions: likewise.
        decisions: likewise.
        rollups: likewise, of all levels.
        damage: what the database says of its file; empty if it is sound, or PostgreSQL's.
        unreadable: rows that are passed over.
        bytes: of the file with its log; None for PostgreSQL.
    """

    store_id: str
    epoch: int
    records: int | None
    config_versions: int | None
    decisions: int | None
    rollups: int | None
    damage: tuple[str, ...]
    unreadable: tuple[UnreadableRow, ...]
    bytes: int | None


@dataclass(frozen=True, slots=True)
class Compacted:
    """What compacting has given back.

    Attributes:
        before: bytes of the file with its log; None for PostgreSQL.
        after: likewise.
        note: what remains for somebody else to do; empty for nothing.
    """

    before: int | None
    after: int | None
    note: str = ""


def check(url: str | None, progress: Progress) -> StoreCheck:
    """Read all that a store holds and look for damage; nothing is changed.

    Raises:
        StoreError: if the store cannot be opened.
    """
    url = url or default_store_url()
    path = sqlite_file(url)
    damage: list[str] = []
    if path is not None:
        with open_store(url, create=False):  # says what is wrong with a file that is no store
            damage = sqlite_care.damage(path, progress)
    with open_store(url, create=False) as store:
        counted = _counted if damage else _plainly
        records = counted(lambda: _records(store, progress))
        versions = counted(lambda: len(store.config_history(limit=_ALL)))
        decisions = counted(lambda: len(store.decisions(limit=_ALL)))
        rollups = counted(lambda: sum(len(store.rollups(0.0, _FAR_AHEAD, level=level)) for level in Level))
        health = store.health()
    return StoreCheck(
        health.store_id,
        health.epoch,
        records,
        versions,
        decisions,
        rollups,
        tuple(damage),
        health.unreadable,
        _size(path),
    )


def backup(url: str | None, file: Path, progress: Progress) -> None:
    """Copy a store as it is at one moment into a new file.

    Raises:
        StoreError: if it could not be done, or is another tool's to do.
    """
    path = _file_of(url, "backup")
    open_store(f"sqlite:///{path}", create=False).close()
    sqlite_care.backup(path, file, progress)


def restore(url: str | None, file: Path, author: str, progress: Progress) -> None:
    """Put the content of a backup in place of a store's; managers notice it and go on with it.

    Raises: as ``backup``.
    """
    sqlite_care.restore(_file_of(url, "restore"), file, author, progress)


def repair(url: str | None, author: str, progress: Progress) -> dict[str, int]:
    """Save all rows of a damaged file that can be read; the damaged file is kept beside it.

    Returns:
        By table, how many rows could not be read.

    Raises: as ``backup``.
    """
    path = _file_of(url, "repair")
    if not path.exists():
        raise StoreError(f"{path}: there is no such file")
    return sqlite_care.repair(path, author, progress)


def compact(url: str | None, progress: Progress) -> Compacted:
    """Forget what is older than the retention and give back what is free.

    Raises: as ``backup``.
    """
    url = url or default_store_url()
    path = sqlite_file(url)
    before = _size(path)
    with open_store(url, create=False) as store:
        store.maintain()
    if path is None:
        note = (
            "what is forgotten is used again by what is written next (autovacuum). To give it back to the"
            " system: VACUUM FULL athena_tuning.segments, which locks it, or pg_repack"
        )
        return Compacted(None, None, note)
    sqlite_care.compact(path, progress)
    return Compacted(before, _size(path))


def holds(url: str | None) -> int:
    """Return how many things that somebody made or measured a store holds; 0 also if it is not there."""
    path = sqlite_file(url or default_store_url())
    if path is None or not path.exists():
        return 0
    with open_store(f"sqlite:///{path}", create=False) as store:
        return len(store.config_history(limit=_ALL)) + len(store.tail_metrics(limit=1).records)


def _records(store: Store, progress: Progress) -> int:
    records, cursor = 0, ""
    while (tail := store.tail_metrics(cursor, limit=50_000)).cursor != cursor:
        cursor = tail.cursor
        records += len(tail.records)
        progress(0, 0)
    return records


def _plainly(count: Callable[[], int]) -> int | None:
    return count()


def _counted(count: Callable[[], int]) -> int | None:
    try:
        return count()
    except StoreError:  # what is wrong is told as damage
        return None


def _file_of(url: str | None, what: str) -> Path:
    url = url or default_store_url()
    path = sqlite_file(url)
    if path is None:
        scheme = url.strip().partition("://")[0]
        raise StoreError(
            _OWN_TOOLS[what]
            if scheme in ("postgresql", "postgres")
            else f"{scheme}://: nothing is kept there"
        )
    return path


def _size(path: Path | None) -> int | None:
    if path is None:
        return None
    files = (path, path.with_name(path.name + "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())
