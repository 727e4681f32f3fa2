"""What holds for the whole process is set when the first file is opened, while nobody uses SQLite."""

from __future__ import annotations

import subprocess
import sys

import pytest


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


@pytest.mark.parametrize(("before", "off"), [("", True), ("held = apsw.Connection(':memory:')", False)])
def test_opening_a_memory_stops_the_statistics_unless_sqlite_is_in_use(before: str, off: bool) -> None:
    program = f"""
import apsw
{before}
from athena_tuning.recall.memory import Memory
one, two = Memory(":memory:"), Memory(":memory:")
assert one.counts() == two.counts()
print(apsw.memory_used() == 0)
one.close()
two.close()
"""
    assert run(program) == str(off)
