"""Whether this machine and its store are as they should be, and what to do where they are not."""

from __future__ import annotations

import multiprocessing
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw

from athena_tuning import locations
from athena_tuning.store import Store, StoreError, open_store
from athena_tuning.store.file_findings import rights
from athena_tuning.store.findings import Finding, act, advice, good
from athena_tuning.store.opening import sqlite_file

OLDEST_PYTHON = (3, 11)
SOUND_SQLITE = (3, 51, 3)
"""Before this one two connections could lose a commit or damage the file (the write-ahead log's reset)."""

_LEAST_FREE, _LITTLE_FREE = 200e6, 1e9


def examine(url: str | None = None) -> list[Finding]:
    """Examine everything; nothing is changed, and no store is made.

    Args:
        url: of the store; None: the default one.
    """
    url = url or locations.default_store_url()
    return [*machine(), *_store_by(url), *_disks(url)]


def examine_open(store: Store) -> list[Finding]:
    """Examine this machine, and a store that is open already."""
    return [*machine(), *_store(store), *_disks(store.url or "")]


def machine() -> Iterator[Finding]:
    """Examine Python, SQLite, the process model and our files."""
    yield _python(sys.version_info[:2])
    yield _sqlite(apsw.sqlite_lib_version(), apsw.compile_options)
    yield _processes(hasattr(os, "register_at_fork"), multiprocessing.get_start_method(allow_none=True))
    home = locations.home()
    yield rights("home folder", home)
    memory = locations.default_memory()
    if memory.exists():
        yield rights("memory file", memory)


def _python(version: tuple[int, ...]) -> Finding:
    seen = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    if version < OLDEST_PYTHON:
        return act("Python", seen, "use Python 3.11 or newer")
    return good("Python", seen)


def _sqlite(version: str, options: tuple[str, ...]) -> Finding:
    seen = f"SQLite {version} (in apsw {apsw.apsw_version()})"
    if "ENABLE_FTS5" not in options:
        return act("SQLite", f"{seen} has no full-text search (FTS5)", "pip install --force-reinstall apsw")
    if tuple(map(int, version.split("."))) < SOUND_SQLITE:
        return act(
            "SQLite",
            f"{seen} may damage a file that several connections use",
            "pip install --upgrade apsw",
        )
    return good("SQLite", f"{seen}, with full-text search")


def _processes(forks: bool, method: str | None) -> Finding:
    if not forks:
        return good("processes", "this system does not fork: each process opens a manager of its own")
    return good(
        "processes",
        f"multiprocessing starts them by {method or 'its default way'}; a manager that is made before a fork"
        " (gunicorn --preload, Celery's prefork) works on in the children",
    )


def _store_by(url: str) -> list[Finding]:
    path = sqlite_file(url)
    if path is not None and not path.exists():
        return [good("store", f"{path} is not there yet; the first manager makes it")]
    try:
        with open_store(url, create=False) as store:
            return list(_store(store))
    except (StoreError, ValueError) as exc:
        return [act("store", f"it cannot be used: {exc}", "see docs/stores.md; `athena-tuning store check`")]


def _store(store: Store) -> Iterator[Finding]:
    try:
        health, findings = store.health(), store.examine()
    except StoreError as exc:
        yield act("store", f"it cannot be used: {exc}", "see docs/stores.md; `athena-tuning store check`")
        return
    seen = f"{type(store).__name__} {health.store_id[:8]}, epoch {health.epoch}"
    yield good("store", f"{seen}: reached")
    if health.unreadable:
        yield advice(
            "store",
            f"{len(health.unreadable)} rows cannot be read and are passed over",
            "`athena-tuning store check` names them; if a newer athena_tuning wrote them, update this one",
        )
    yield from findings


def _disks(url: str) -> Iterator[Finding]:
    """Examine the disks of the home folder and of the store's file; once where they are the same."""
    path = sqlite_file(url) if url else None
    folders = [locations.home(), *([path.parent] if path is not None and path.parent.is_dir() else [])]
    by_disk = {folder.stat().st_dev: folder for folder in folders}
    for folder in by_disk.values():
        size = path.stat().st_size if path is not None and path.exists() and path.parent == folder else 0
        yield _disk(folder, shutil.disk_usage(folder).free, size)


def _disk(folder: Path, free: float, store_bytes: float) -> Finding:
    seen = f"{free / 1e6:,.0f} MB free for {folder}"
    if free < _LEAST_FREE:
        return act("disk", seen, "make room; what is measured waits in memory, and is lost when that is full")
    if free < max(_LITTLE_FREE, 2 * store_bytes):
        return advice("disk", seen, "make room: a backup or a first compact needs twice the store's size")
    return good("disk", seen)
