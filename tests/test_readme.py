"""Every command and snippet of the README does what it says."""

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent

_BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
SNIPPETS = [body for language, body in _BLOCKS if language == "python"]
COMMANDS = [
    line for language, body in _BLOCKS if language == "sh" for line in body.splitlines() if line.strip()
]
SERVING = ("make run", "streamlit run app.py", "athena-tuning dashboard", "athena-tuning manager")


def test_every_block_of_the_readme_is_of_a_kind_that_is_tried_here() -> None:
    assert {language for language, _ in _BLOCKS} <= {"python", "sh", "text"}
    known = (*SERVING, "make test", "git clone", "cd ", "pip install", "athena-tuning ", "make ")
    assert [c for c in COMMANDS if not c.startswith(known)] == []


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_a_snippet_runs(snippet: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", snippet],
        check=False,
        cwd=tmp_path,
        env={**os.environ, "ATHENA_TUNING_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_the_commands_run_in_their_order(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "ATHENA_TUNING_HOME": str(tmp_path / "home"),
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    }
    left_out = SERVING if _git_reads_the_checkout() else (*SERVING, "athena-tuning ingest-git")
    tried = [c for c in COMMANDS if c.startswith("athena-tuning ") and not c.startswith(left_out)]
    assert tried
    for command in tried:
        done = subprocess.run(
            shlex.split(command, comments=True),
            check=False,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def test_the_make_targets_that_the_readme_names_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {shlex.split(c, comments=True)[1] for c in COMMANDS if c.startswith("make ")}
    assert {"run", "test"} <= named <= targets


def test_continuous_integration_runs_the_readmes_test_command() -> None:
    assert "make test" in COMMANDS
    assert "make test" in (ROOT / ".ci" / "run").read_text().splitlines()


def test_one_command_serves_the_app(tmp_path: Path) -> None:
    if not (ROOT / ".make" / "ready").exists():
        pytest.skip("the checkout was not set up with make")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        ["make", "run", f"PORT={port}"],
        cwd=ROOT,
        env={**os.environ, "ATHENA_TUNING_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert _answers(f"http://127.0.0.1:{port}/_stcore/health", server), server.stdout
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.communicate(timeout=30)


def _git_reads_the_checkout() -> bool:
    """Whether this is a clone that git trusts, and not an unpacked archive."""
    try:
        asked = subprocess.run(
            ["git", "-C", str(ROOT), "rev-parse", "HEAD"], check=False, capture_output=True
        )
    except FileNotFoundError:
        return False
    return asked.returncode == 0


def _answers(url: str, server: subprocess.Popen[str]) -> bool:
    """Ask until the server answers; it is a process of its own, so its readiness can only be asked for."""
    until = time.monotonic() + 60
    while time.monotonic() < until and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(0.1)
    return False
