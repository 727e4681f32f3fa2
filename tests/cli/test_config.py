"""``athena-tuning config``: managers obey what is applied, rolled back, undone and ended."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from athena_tuning.model import TuningConfig
from athena_tuning.store import ConfigChange, open_store
from tests.support.command_line import run


def test_the_defaults_are_shown_before_anybody_wrote() -> None:
    shown = json.loads(run("config", "show", "--json").stdout)
    assert shown["version"] == 0
    assert TuningConfig.from_dict(shown["config"]) == TuningConfig()


def test_a_config_that_nobody_would_obey_is_refused() -> None:
    done = run("config", "apply", "--max-concurrent", "3", "--reason", "try")
    assert done.exit_code == 1
    assert "no manager is running" in done.stderr
    assert json.loads(run("config", "history", "--json").stdout) == []


def test_a_living_manager_is_listed_and_obeys_what_is_applied_and_rolled_back(living_manager: str) -> None:
    at = ("--store", living_manager)
    (worker,) = json.loads(run("workers", *at, "--json").stdout)
    assert worker["alive"]
    applied = run("config", "apply", "--max-concurrent", "3", "--reason", "fewer cores", *at)
    assert applied.exit_code == 0, applied.stderr
    assert "version 1" in applied.stdout
    _wait_for_version(living_manager, 1)
    stale = run("config", "apply", "--timeout", "7", "--expected", "0", "--reason", "late", *at)
    assert stale.exit_code == 1
    assert "based on version 0, but version 1" in stale.stderr
    assert "7.0" in stale.stdout
    assert "10.0" in stale.stdout
    told = json.loads(
        run("config", "apply", "--timeout", "7", "--expected", "0", "--reason", "late", *at, "--json").stdout
    )
    assert (told["expected"], told["current"]["version"]) == (0, 1)
    assert told["proposed"]["timeout_seconds"] == 7.0
    run("config", "apply", "--timeout", "7", "--reason", "next", *at)
    back = json.loads(run("config", "rollback", "1", "--reason", "back", *at, "--json").stdout)
    assert (back["version"], back["restores"], back["config"]["timeout_seconds"]) == (3, 1, 10.0)
    _wait_for_version(living_manager, 3)
    status = json.loads(run("status", *at, "--json").stdout)
    assert status["standing"]["workers_alive"] == 1
    assert status["recent"]["count"] > 0


def test_a_strategy_and_its_undo_tell_what_came_along_for_exceptions(living_manager: str) -> None:
    at = ("--store", living_manager)
    run("config", "apply", "--scope", "meta", "--timeout", "3", "--reason", "x", *at)
    said = run("config", "apply", "--strategy", "cost", "--timeout", "7", "--reason", "cheap", *at)
    assert said.exit_code == 0, said.output
    assert "version 2 for all" in said.stdout
    assert "version 3 for meta" in said.stdout
    undone = json.loads(run("config", "undo", *at, "--json").stdout)
    assert undone["reason"] == "undo of version 2 (back to the defaults): cheap"
    assert [v["scope"] for v in undone["exceptions"]] == ["meta"]
    shown = json.loads(run("config", "history", *at, "--json").stdout)
    cost = next(v for v in shown if v["version"] == 2)
    assert (cost["config"]["strategy"], cost["config"]["timeout_seconds"]) == ("cost", 7.0)


def test_an_exception_is_ended_from_the_command_line(living_manager: str) -> None:
    made = run(
        *("config", "apply", "--scope", "meta", "--timeout", "3", "--reason", "x", "--store", living_manager)
    )
    assert made.exit_code == 0, made.output
    ended = run("config", "end", "meta", "--reason", "no longer", "--store", living_manager, "--json")
    assert ended.exit_code == 0, ended.output
    assert json.loads(ended.output)["restores"] == 0
    again = run("config", "end", "meta", "--reason", "no longer", "--store", living_manager)
    assert again.exit_code == 1
    assert "no exception to end" in again.output


def test_fields_of_a_newer_program_are_named_beside_the_config(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with open_store(f"sqlite:///{path}") as store:
        store.apply_config(ConfigChange(TuningConfig(), expected_version=0, actor="ana", reason="r"))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE config_versions SET config = '{\"hedge_after_ms\": 40}'")
    at = ("--store", f"sqlite:///{path}")
    assert "only a newer program knows it: hedge_after_ms = 40" in run("config", "show", *at).stdout
    assert json.loads(run("config", "show", *at, "--json").stdout)["unknown_fields"] == {"hedge_after_ms": 40}


def _wait_for_version(url: str, version: int) -> None:
    """Ask until the manager, a process of its own that reports itself once a second, runs the version."""
    store, pause = open_store(url), threading.Event()
    try:
        for _ in range(400):
            if store.workers()[0].config_version >= version:
                return
            pause.wait(0.05)
    finally:
        store.close()
    pytest.fail(f"the manager never ran version {version}")
