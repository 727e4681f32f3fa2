"""A manager that is made before gunicorn (--preload) and Celery (prefork) fork: each child is a worker."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from athena_tuning.model import TuningConfig
from athena_tuning.store import ConfigChange, Store, open_store
from athena_tuning.testing.waiting import until
from tests.soak.fleet import Row, stored

pytestmark = pytest.mark.soak

LAYERS = """
import asyncio, os
from athena_tuning import MemoryManager, open_store

class Tickets:
    name = "tickets"
    def search(self, query, k, deadline):
        return [{"id": "t", "text": "a ticket"}]

class Wiki:
    name = "wiki"
    async def search(self, query, k, deadline):
        await asyncio.sleep(0.001)
        return [{"id": "w", "text": "a page"}]

manager = MemoryManager(
    ":memory:", store=open_store(os.environ["SOAK_STORE"]), layers=[Tickets(), Wiki()], worker_id="web"
)

def told(number):
    answer = manager.recall(f"who knows about the deploy {number}?", use_cache=False)
    failed = not answer["_success"] or bool(answer["_errors"])
    return {"id": answer["_query_id"], "failed": failed, "pid": os.getpid(), "limit": manager.limit}
"""

GUNICORN = """
import json
from layers import told

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(told(environ["PATH_INFO"])).encode()]
"""

CELERY = """
import os, time
from celery import Celery
from layers import told

folder = os.environ["SOAK_FOLDER"]
box = {"data_folder_in": folder, "data_folder_out": folder, "processed_folder": folder}
app = Celery("tasks", broker="filesystem://", backend=f"file://{folder}/results")
app.conf.update(broker_transport_options=box, worker_prefetch_multiplier=1, worker_hijack_root_logger=False)

@app.task
def ask(number):
    time.sleep(0.05)  # so that both children have some
    return told(number)
"""


@contextmanager
def served(command: list[str], folder: Path, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in a folder; whatever happens, nothing of it is left."""
    log = (folder / "server.log").open("wb")
    root = str(Path(__file__).parents[2])
    environ = {**os.environ, **settings, "PYTHONPATH": os.pathsep.join([str(folder), root])}
    process = subprocess.Popen(
        command, cwd=folder, env=environ, stdout=log, stderr=log, start_new_session=True
    )
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store in a file, and the program beside it."""
    (tmp_path / "layers.py").write_text(LAYERS)
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as found:
        yield found


def judge(row: Row, store: Store, answers: list[dict[str, Any]], killed: int = 0) -> None:
    """All answers are whole, and all that was measured is in the store, under names of the children's own."""
    known = stored(store)
    row.recalls, row.failed = len(answers), sum(answer["failed"] for answer in answers)
    row.acknowledged = len(known)
    row.lost = len({answer["id"] for answer in answers} - known)
    assert (row.failed, row.lost) == (0, 0)
    assert len(known) == len(answers)
    workers = {worker.pid: worker for worker in store.workers()}
    for pid in {answer["pid"] for answer in answers}:
        assert workers[pid].worker_id.startswith("web-")
        assert pid == killed or workers[pid].recalls == sum(answer["pid"] == pid for answer in answers)


def test_gunicorn_with_preload(tmp_path: Path, store: Store, new_row: Callable[[str, str], Row]) -> None:
    pytest.importorskip("gunicorn", reason="no gunicorn: the extra 'soak' is not installed")
    (tmp_path / "web.py").write_text(GUNICORN)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def get(path: str) -> dict[str, Any] | None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("GET", path)
            found: dict[str, Any] = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException):
            return None  # it is not up yet, or its worker was killed
        finally:
            connection.close()
        return found

    answers: list[dict[str, Any]] = []

    def ask() -> int:
        if (answer := get(f"/{len(answers)}")) is not None:
            answers.append(answer)
        return len({answer["pid"] for answer in answers})

    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "3", "--bind", f"127.0.0.1:{port}"]
    with served([*command, "web:app"], tmp_path, SOAK_STORE=store.url):
        until(lambda: ask() == 3, 60.0)
        change = ConfigChange(TuningConfig(9), expected_version=0, actor="ana", reason="more")
        store.apply_config(change)
        until(lambda: ask() and {answer["limit"] for answer in answers[-12:]} == {9}, 60.0)
        until(lambda: len(stored(store)) == len(answers))
        killed = answers[-1]["pid"]
        os.kill(killed, signal.SIGKILL)
        until(lambda: ask() == 4, 60.0)
    judge(new_row("gunicorn --preload", "SQLite"), store, answers, killed)


def test_celery_prefork(tmp_path: Path, store: Store, new_row: Callable[[str, str], Row]) -> None:
    pytest.importorskip("celery", reason="no Celery: the extra 'soak' is not installed")
    (tmp_path / "tasks.py").write_text(CELERY)
    (tmp_path / "results").mkdir()
    settings = {"SOAK_STORE": store.url, "SOAK_FOLDER": str(tmp_path)}
    send = "import layers, tasks\nfor n in range(40): print(tasks.ask.delay(n).id)\nlayers.manager.close()"
    environ = {
        **os.environ,
        **settings,
        "PYTHONPATH": os.environ.get("PYTHONPATH", str(Path(__file__).parents[2])),
    }
    sent = subprocess.run(
        [sys.executable, "-c", send], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
    )
    results = [tmp_path / "results" / f"celery-task-meta-{name}" for name in sent.stdout.split()]
    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--pool", "prefork", "-c", "2"]
    with served([*command, "--max-tasks-per-child", "10"], tmp_path, **settings):
        until(lambda: all(result.exists() for result in results), 120.0)
    answers = [json.loads(result.read_text())["result"] for result in results]
    assert len({answer["pid"] for answer in answers}) >= 4, "children end after ten tasks each"
    judge(new_row("Celery, prefork", "SQLite"), store, answers)
