"""What holds for all commands: they begin with a home folder of their own that holds nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import items_file, run


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("ATHENA_TUNING_HOME", str(folder))
    for name in ("ATHENA_TUNING_STORE", "ATHENA_TUNING_MEMORY"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def living_manager(tmp_path: Path) -> Iterator[str]:
    """A manager process with load on a store of its own; its URL."""
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    memory = tmp_path / "memory.db"
    assert run("ingest", str(items_file(tmp_path)), "--memory", str(memory)).exit_code == 0
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", "from athena_tuning.cli import main; main()", "manager"),
            *("--store", url, "--memory", str(memory), "--load", "50", "--pattern", "steady"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "manager" in process.stdout.readline()
    yield url
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "stopped after" in said
