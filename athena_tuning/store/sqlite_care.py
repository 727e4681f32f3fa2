"""Care of a SQLite store's file: looking for damage, copies, and saving what can be read of a damaged one.

All of it may be done while managers use the file: a copy is of one moment, and what is put into the file is
put there in one transaction. Whoever has the file open notices that its content was replaced.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw

from athena_tuning import locations
from athena_tuning.store.errors import StoreError
from athena_tuning.store.schema import CURRENT
from athena_tuning.store.sqlite import INCREMENTAL, SqliteDatabase, SqliteStore
from athena_tuning.store.sqlite_connection import close, connect, in_our_words
from athena_tuning.store.sqlite_salvage import Progress, save_rows
from athena_tuning.store.sqlite_schema import APPLICATION_ID, SqliteTransaction

_PAGES = 500
_STEPS = 20_000
_DAMAGES = 20


def damage(path: Path, progress: Progress) -> list[str]:
    """Return what SQLite finds damaged in a file, the first 20; nothing if it is sound.

    Raises:
        StoreError: if it cannot be opened.
    """
    with in_our_words(str(path)), closing(connect(str(path))) as connection:
        connection.set_progress_handler(_goes_on(progress), _STEPS)
        try:
            damages = SqliteTransaction(connection).execute(f"PRAGMA integrity_check({_DAMAGES})")
        except apsw.CorruptError as exc:
            return [str(exc)]
    return [line for (line,) in damages if line != "ok"]


def backup(path: Path, file: Path, progress: Progress) -> None:
    """Copy a store as it is at one moment into a new file.

    Raises:
        StoreError: if the file is there already, the copy is damaged, or it could not be written; then there
            is no copy.
    """
    if file.exists():
        raise StoreError(f"{file}: this file is there already; name a new one")
    part = _beside(file, ".part")
    part.unlink(missing_ok=True)
    try:
        with in_our_words(str(path)), closing(connect(str(path))) as source:
            _copy(source, part, progress)
        if damages := damage(part, lambda *_: None):
            raise StoreError(f"{path}: the copy is damaged, as the store is ({damages[0]}); repair the store")
        os.link(part, file)  # unlike a renaming it never takes the place of another file
    except OSError as exc:
        raise StoreError(f"{file}: the copy could not be written ({exc})") from exc
    finally:
        _remove(part)


def restore(path: Path, file: Path, author: str, progress: Progress) -> None:
    """Put the content of a copy in place of a store's.

    Where the present file is damaged, so that it cannot be opened, it is put aside first.

    Raises:
        StoreError: if the copy is no sound store, or it could not be put in place; the store is as it was.
    """
    with _as_it_is_today(file) as ready:
        _put_in(path, ready, f"{author} restored it from {file.name}", progress)


def repair(path: Path, author: str, progress: Progress) -> dict[str, int]:
    """Save all rows of a damaged store that can be read; the damaged file is kept beside it.

    Meanwhile nobody writes: what is not stored is delivered afterwards, and nothing that is stored is lost.

    Returns:
        By table, how many rows could not be read.

    Raises:
        StoreError: if nothing can be read of it; it is as it was.
    """
    saved = _beside(path, ".saving")
    _remove(saved)
    try:
        SqliteStore(saved).close()
        with in_our_words(str(path)), closing(connect(str(saved))) as target:
            source = connect(str(path))
            try:
                _check_ours(source, path)
                source.execute("BEGIN IMMEDIATE")
                lost = save_rows(source, target, progress)
                target.close()
                aside = _exchange(path, saved)
            finally:
                close(source, keep_log=True)
    finally:
        _remove(saved)
    with SqliteStore(path) as store:
        store.begin_epoch("restored", f"{author} repaired it; the damaged file is {aside.name}")
    return lost


def compact(path: Path, progress: Progress) -> None:
    """Give all that is free back to the system.

    A file that an older program made is laid out anew once, so that it can shrink by itself from then on;
    meanwhile others wait with their writes.

    Raises:
        StoreError: if the disk has no room for that.
    """
    with in_our_words(str(path)), closing(connect(str(path))) as connection:
        if connection.pragma("auto_vacuum") == INCREMENTAL:
            _free_pages(connection, progress)
        else:
            _lay_out_anew(connection, path, progress)
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)


def _goes_on(progress: Progress) -> Callable[[], bool]:
    """Return what SQLite calls now and then while it works; True would stop it."""

    def tell() -> bool:
        progress(0, 0)
        return False

    return tell


def _free_pages(connection: apsw.Connection, progress: Progress) -> None:
    free: int = connection.pragma("freelist_count")
    before = free
    while free:
        connection.execute(f"PRAGMA incremental_vacuum({_PAGES})").fetchall()
        time.sleep(SqliteDatabase.pause_seconds)
        free = connection.pragma("freelist_count")
        progress(max(0, before - free), before)


def _lay_out_anew(connection: apsw.Connection, path: Path, progress: Progress) -> None:
    need, free = 2 * path.stat().st_size, shutil.disk_usage(path.parent).free
    if free < need:
        raise StoreError(
            f"{path}: this takes {need / 1e6:,.0f} MB of disk, and {free / 1e6:,.0f} MB are free"
        )
    connection.set_progress_handler(_goes_on(progress), _STEPS)
    connection.pragma("auto_vacuum", "incremental")
    connection.execute("VACUUM")


def _put_aside(path: Path) -> None:
    """Move a file and its log to a name that tells when."""
    aside = _aside(path)
    for ending in ("", "-wal"):
        if _beside(path, ending).exists():
            _beside(path, ending).rename(_beside(aside, ending))


def _exchange(path: Path, other: Path) -> Path:
    """Put another file in a file's place, and return where that one is now, with its log.

    The log goes first: SQLite would take it for the other file's.
    """
    aside = _aside(path)
    os.link(path, aside)
    if _beside(path, "-wal").exists():
        _beside(path, "-wal").rename(_beside(aside, "-wal"))
    _beside(path, "-shm").unlink(missing_ok=True)
    other.replace(path)
    return aside


def _aside(path: Path) -> Path:
    return _beside(path, f".damaged-{time.strftime('%Y%m%d-%H%M%S')}")


@contextmanager
def _as_it_is_today(file: Path) -> Iterator[Path]:
    """Give a copy of a backup that is checked and has today's tables; the backup stays as it is."""
    if not file.exists():
        raise StoreError(f"{file}: there is no such file")
    ready = _beside(file, ".restoring")
    _remove(ready)
    try:
        with in_our_words(str(file)), closing(connect(str(file))) as source:
            _check_ours(source, file)
            _copy(source, ready, lambda *_: None)
        if damages := damage(ready, lambda *_: None):
            raise StoreError(f"{file}: the copy is damaged ({damages[0]})")
        SqliteStore(ready).close()
        yield ready
    finally:
        _remove(ready)


def _put_in(path: Path, content: Path, text: str, progress: Progress) -> None:
    try:
        store = SqliteStore(path)
    except StoreError:
        _put_aside(path)
        store = SqliteStore(path)
    with store, in_our_words(str(path)):
        with closing(connect(str(content))) as source:
            _copy(source, path, progress)
        store.begin_epoch("restored", text)


def _copy(source: apsw.Connection, to: Path, progress: Progress) -> None:
    """Copy all pages as they are at this moment, whoever writes meanwhile."""
    locations.make_private_file(to)
    source.execute("BEGIN")
    source.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    try:
        with closing(connect(str(to))) as target, target.backup("main", source, "main") as copying:
            while not copying.done:
                copying.step(_PAGES)
                progress(copying.page_count - copying.remaining, copying.page_count)
    finally:
        source.execute("ROLLBACK")


def _check_ours(connection: apsw.Connection, path: Path) -> None:
    if connection.pragma("application_id") != APPLICATION_ID:
        raise StoreError(f"{path}: this is no store")
    if connection.pragma("user_version") > CURRENT:
        raise StoreError(f"{path}: a newer athena_tuning made this store; update this one")


def _remove(path: Path) -> None:
    for ending in ("", "-wal", "-shm", "-journal"):
        _beside(path, ending).unlink(missing_ok=True)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)
