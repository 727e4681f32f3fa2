"""``athena-tuning doctor`` tells people and scripts what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from athena_tuning.cli import main
from athena_tuning.store import open_store


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATHENA_TUNING_HOME", str(tmp_path / "home"))


def test_command_doctor_names_each_thing_and_ends_well(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    open_store(url).close()
    told = CliRunner().invoke(main, ["doctor", "--store", url])
    assert told.exit_code == 0, told.output
    for subject in ("Python", "SQLite", "processes", "home folder", "store", "store file", "disk"):
        assert f"{subject}: " in told.output


def test_command_doctor_ends_with_1_where_something_must_be_done(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_text("no database " * 500)
    url = f"sqlite:///{tmp_path / 'store.db'}"
    told = CliRunner().invoke(main, ["doctor", "--store", url])
    assert told.exit_code == 1
    assert "✗ store: it cannot be used" in told.output
    assert "→ " in told.output
    known = CliRunner().invoke(main, ["doctor", "--store", url, "--json"])
    assert known.exit_code == 1
    assert [f["subject"] for f in json.loads(known.stdout) if f["verdict"] == "act"] == ["store"]
