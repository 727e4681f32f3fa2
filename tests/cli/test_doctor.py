"""``athena-tuning doctor`` tells people and scripts what to do."""

from __future__ import annotations

import json
from pathlib import Path

from athena_tuning.store import open_store
from tests.support.command_line import run


def test_command_doctor_names_each_thing_and_ends_well(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    open_store(url).close()
    told = run("doctor", "--store", url)
    assert told.exit_code == 0, told.output
    for subject in ("Python", "SQLite", "processes", "home folder", "store", "store file", "disk"):
        assert f"{subject}: " in told.output


def test_command_doctor_ends_with_1_where_something_must_be_done(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_text("no database " * 500)
    url = f"sqlite:///{tmp_path / 'store.db'}"
    told = run("doctor", "--store", url)
    assert told.exit_code == 1
    assert "✗ store: it cannot be used" in told.output
    assert "→ " in told.output
    known = run("doctor", "--store", url, "--json")
    assert known.exit_code == 1
    assert [f["subject"] for f in json.loads(known.stdout) if f["verdict"] == "act"] == ["store"]
