"""The stores of the soak, and the table of what came of each fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.soak.databases import Databases, PostgresDatabases, SqliteFiles, small_disk
from tests.soak.fleet import Row

ROWS: list[Row] = []
COLUMNS = (
    "fault",
    "store",
    "recalls",
    "failed",
    "acknowledged",
    "lost",
    "above the limit",
    "slots lost",
    "takeover",
    "refused",
    "dropped",
)


@pytest.fixture(scope="session")
def sqlite_files() -> Iterator[SqliteFiles]:
    """SQLite files on a small disk."""
    with small_disk(SqliteFiles.megabytes) as disk:
        yield SqliteFiles(disk)


@pytest.fixture(scope="session")
def postgres_databases() -> Iterator[PostgresDatabases]:
    """Databases of a PostgreSQL on a small disk."""
    with small_disk(PostgresDatabases.megabytes) as disk:
        server = PostgresDatabases(disk)
        yield server
        server.stop()


@pytest.fixture(params=["sqlite_files", "postgres_databases"])
def databases(request: pytest.FixtureRequest) -> Databases:
    """Each kind of store in turn."""
    found: Databases = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def new_row() -> Callable[[str, str], Row]:
    """Makes a row of the table."""

    def make(fault: str, kind: str) -> Row:
        ROWS.append(Row(fault, kind))
        return ROWS[-1]

    return make


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table, as Markdown."""
    if not ROWS:
        return
    terminalreporter.section("faults")
    terminalreporter.write_line("| " + " | ".join(COLUMNS) + " |")
    terminalreporter.write_line("|---|---|" + "---:|" * (len(COLUMNS) - 2))
    for row in ROWS:
        takeover = "" if row.takeover_seconds is None else f"{row.takeover_seconds:.1f} s"
        counts = (row.recalls, row.failed, row.acknowledged, row.lost, row.exceeded, row.slots_lost)
        cells = [row.fault, row.store, *(f"{n:,}" for n in counts), takeover]
        cells += [f"{n:,}" for n in (row.refused, row.dropped)]
        terminalreporter.write_line("| " + " | ".join(cells) + " |")
