"""``athena-tuning manager``: what it measured is in the store when it has stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from athena_tuning.store import open_store
from tests.support.command_line import items_file, run


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_manager_that_is_told_to_stop_brings_every_recall_to_the_store(
    tmp_path: Path, number: signal.Signals
) -> None:
    url, memory = f"sqlite:///{tmp_path / 'shared.db'}", str(tmp_path / "memory.db")
    assert run("ingest", str(items_file(tmp_path)), "--memory", memory).exit_code == 0
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", "from athena_tuning.cli import main; main()", "manager"),
            *("--store", url, "--memory", memory, "--clients", "2", "--mix", "factual,temporal=2"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "manager" in process.stdout.readline()
    _wait_for_recalls(url)
    process.send_signal(number)
    said, wrong = process.communicate(timeout=60)
    assert (process.returncode, wrong) == (0, "")
    recalls = int(said.split("stopped after ")[1].split()[0])
    with open_store(url) as store:
        records = store.tail_metrics().records
        assert len(records) == recalls == store.workers()[0].recalls > 0
        assert {m.query_type for m in records} <= {"factual", "temporal"}


def _wait_for_recalls(url: str) -> None:
    """Ask until the manager, a process of its own, has brought its first recalls to the store."""
    store, pause = open_store(url), threading.Event()
    try:
        for _ in range(400):
            if store.tail_metrics().records:
                return
            pause.wait(0.05)
    finally:
        store.close()
    pytest.fail("the manager never recalled anything")
