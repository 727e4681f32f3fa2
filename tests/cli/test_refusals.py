"""What makes no sense, and what cannot be used, is refused in one line."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from athena_tuning.store import open_store
from tests.support.command_line import run


@pytest.mark.parametrize(
    "args",
    [
        ("frobnicate",),
        ("recall",),
        ("recall", "x", "-k", "0"),
        ("ingest", "no-such-file.jsonl"),
        ("config", "apply", "--max-concurrent", "many", "--reason", "r"),
        ("config", "apply", "--max-concurrent", "3"),
        ("config", "apply", "--bounds", "20-2", "--reason", "r"),
        ("config", "apply", "--bounds", "some", "--reason", "r"),
        ("config", "apply", "--max-concurrent", "0", "--reason", "r"),
        ("config", "apply", "--deadline", "soon", "--reason", "r"),
        ("config", "apply", "--second-below", "0", "--reason", "r"),
        ("config", "apply", "--explore", "0.9", "--reason", "r"),
        ("config", "apply", "--skip", "graph,", "--reason", "r"),
        ("config", "rollback", "zero", "--reason", "r"),
        ("metrics", "export"),
        ("metrics", "export", "out.csv", "--since", "yesterday"),
        ("metrics", "export", "out.csv", "--since", "1h", "--until", "2h"),
        ("manager", "--load", "5", "--mix", "factual=many"),
        ("manager", "--pattern", "replay", "--load", "5"),
        ("dashboard", "--port", "99999"),
        ("manager", "--load", "0"),
    ],
)
def test_wrong_arguments_end_with_code_2_and_a_sentence(args: tuple[str, ...]) -> None:
    done = run(*args)
    assert done.exit_code == 2
    assert "Error:" in done.stderr
    assert "Traceback" not in done.stderr


COMMANDS = [
    ("status",),
    ("workers",),
    ("config", "show"),
    ("config", "history"),
    ("config", "apply", "--max-concurrent", "3", "--reason", "r"),
    ("config", "rollback", "1", "--reason", "r"),
    ("config", "undo"),
    ("metrics", "export", "out.csv"),
]


def _a_text(path: Path) -> None:
    path.write_text("these are my notes, not a database, and they are longer than a header" * 50)


def _somebody_elses(path: Path) -> None:
    theirs = sqlite3.connect(path)
    theirs.execute("CREATE TABLE accounts (id)")
    theirs.commit()
    theirs.close()


def _damaged(path: Path) -> None:
    open_store(f"sqlite:///{path}").close()
    data = bytearray(path.read_bytes())
    data[200:] = b"\xff" * (len(data) - 200)
    path.write_bytes(bytes(data))


def _missing(path: Path) -> None:
    assert not path.exists()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_a_text, "this is no database; name another file"),
        (_somebody_elses, "belongs to something else; name another file"),
        (_damaged, "the file is damaged; `athena-tuning store repair` saves"),
        (_missing, "there is no such file"),
    ],
)
def test_a_store_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    make: Callable[[Path], None],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "notes.db"
    make(path)
    before = path.read_bytes() if path.exists() else None
    done = run(*command, "--store", f"sqlite:///{path}")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: {path}: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert (path.read_bytes() if path.exists() else None) == before
    assert not Path("out.csv").exists()
