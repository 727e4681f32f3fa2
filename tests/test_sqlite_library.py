"""What holds for the whole process is set when the first file is opened, while nobody uses SQLite."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import apsw
import pytest

from athena_tuning.sqlite_library import write_beside_readers


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_the_package_leaves_sqlite_as_it_is() -> None:
    program = """
import apsw
def never(*args): raise AssertionError("SQLite was reconfigured on import")
apsw.shutdown = apsw.config = apsw.initialize = never
held = apsw.Connection(":memory:")
held.execute("CREATE TABLE t(x)")
import athena_tuning, athena_tuning.recall.memory, athena_tuning.store.sqlite, athena_tuning.cli
held.execute("INSERT INTO t VALUES (1)")
print(held.execute("SELECT x FROM t").fetchall(), apsw.memory_used() > 0)
"""
    assert run(program) == "[(1,)] True"


MEMORY = "from athena_tuning.recall.memory import Memory; Memory(':memory:').close()"
STORE = "from athena_tuning import open_store; open_store('sqlite:///{path}').close()"


@pytest.mark.parametrize("opened", [MEMORY, STORE])
@pytest.mark.parametrize(("before", "off"), [("", True), ("held = apsw.Connection(':memory:')", False)])
def test_opening_a_file_stops_the_statistics_unless_sqlite_is_in_use(
    tmp_path: Path, opened: str, before: str, off: bool
) -> None:
    program = f"""
import apsw
{before}
{opened.format(path=tmp_path / "store.db")}
held = apsw.Connection(":memory:")
held.execute("CREATE TABLE t(x)")
{MEMORY}
print(apsw.memory_used() == 0, held.execute("SELECT * FROM t").fetchall())
"""
    assert run(program) == f"{off} []"


def test_a_file_that_is_in_use_is_written_beside_its_readers_as_soon_as_it_is_free(tmp_path: Path) -> None:
    reader, late = (apsw.Connection(str(tmp_path / "f.db")) for _ in range(2))
    reader.execute("CREATE TABLE t(x); BEGIN; SELECT * FROM t").fetchall()
    with pytest.raises(apsw.BusyError):
        write_beside_readers(late, 0.0)
    asked = threading.Event()
    late.set_busy_handler(lambda _: bool(asked.set()))  # no patience of SQLite's own
    waits = threading.Thread(target=write_beside_readers, args=(late, 30.0))
    waits.start()
    assert asked.wait(30)
    reader.execute("COMMIT")
    waits.join(30)
    assert late.pragma("journal_mode") == "wal"
    for connection in (reader, late):
        connection.close()
