"""A process that ends without closing its workers: what they measured is delivered all the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from athena_tuning.store import open_store

BEGINNING = """
import multiprocessing, os, sys, threading, time
from athena_tuning import Control, MemoryManager, open_store

def recalls(n):
    manager = MemoryManager(":memory:", store=open_store(sys.argv[1]))
    for number in range(n):
        manager.recall(f"billing {number}", use_cache=False)
    return manager

def forgetful_child():
    recalls(20)

if __name__ == "__main__":
"""

ENDINGS = {
    "runs to its end": "recalls(20)",
    "forgets the manager": "recalls(20) and None; import gc; gc.collect()",
    "exits": "recalls(20); sys.exit(3)",
    "fails": "recalls(20); raise RuntimeError('something else broke')",
    "recalled in a daemon thread": (
        "t = threading.Thread(target=recalls, args=(20,), daemon=True); t.start(); t.join()"
    ),
    "recalls on in a thread after the main one": (
        "m = recalls(10)\n    "  # from 3.12 on no thread can begin after the main one's end
        "threading.Thread(target=lambda: (time.sleep(0.3), "
        "[m.recall(f'late {n}', use_cache=False) for n in range(10)])).start()"
    ),
    "is a forked process of multiprocessing": (
        "p = multiprocessing.get_context('fork').Process(target=forgetful_child); p.start(); p.join()"
    ),
    "is a spawned process of multiprocessing": (
        "p = multiprocessing.get_context('spawn').Process(target=forgetful_child); p.start(); p.join()"
    ),
    "measures by a control": """
    control = Control(sys.argv[1])
    for number in range(20):
        with control.measure("who owns billing?", "factual") as query, query.layer("semantic"):
            pass
""",
}

HANGS = """
    manager = recalls(3)
    time.sleep(1)
    manager.recall("billing", use_cache=False)
    manager.store.append_metrics = lambda *_: threading.Event().wait()
    manager.recall("billing again", use_cache=False)
    from athena_tuning.control import process_end
    process_end.LONGEST_SECONDS = 0.5
    print("end", flush=True)
"""


def run(path: Path, ending: str) -> tuple[subprocess.CompletedProcess[str], str]:
    url = f"sqlite:///{path / 's.db'}"
    script = path / "script.py"
    script.write_text(BEGINNING + "    " + ending.strip() + "\n")
    command = [sys.executable, str(script), url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done, url


@pytest.mark.slow
@pytest.mark.parametrize("ending", ENDINGS)
def test_what_was_measured_is_stored_when_a_process_that_forgot_to_close(tmp_path: Path, ending: str) -> None:
    done, url = run(tmp_path, ENDINGS[ending])
    assert done.returncode == {"exits": 3, "fails": 1}.get(ending, 0), done.stderr
    with open_store(url) as store:
        assert len(store.tail_metrics().records) == 20, done.stderr
        [worker] = store.workers()
        assert (worker.recalls, worker.dropped_metrics) == (20, 0)
        assert store.acquire_lease("tuner", "the next", 5.0), "the lease was given back"


@pytest.mark.slow
def test_a_store_that_hangs_keeps_no_process_from_ending_and_the_loss_is_told(tmp_path: Path) -> None:
    done, _ = run(tmp_path, HANGS)
    assert done.returncode == 0, done.stderr
    assert "was closed before the store took its last" in done.stderr
