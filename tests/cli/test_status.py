"""``athena-tuning status`` and ``workers``: what happened to the store, and who may use how many slots."""

from __future__ import annotations

import json
from pathlib import Path

from athena_tuning.store import Store, StoreError, open_store
from athena_tuning.testing.waiting import until
from tests.support.command_line import run


def test_status_says_that_the_store_was_deleted_while_in_use(tmp_path: Path) -> None:
    path = tmp_path / "shared.db"
    with open_store(f"sqlite:///{path}") as store:
        path.unlink()
        until(lambda: goes_on(store))
        told = run("status", "--store", f"sqlite:///{path}")
        known = json.loads(run("status", "--store", f"sqlite:///{path}", "--json").stdout)
    assert "epoch 1" in told.stdout
    assert "the file was deleted while in use" in " ".join(told.stdout.split())
    assert known["store"]["epoch"] == 1
    assert [event["kind"] for event in known["events"]] == ["deleted"]


def goes_on(store: Store) -> bool:
    try:
        store.change_token()
    except StoreError:
        return False
    return True


def test_a_limit_for_all_managers_is_shown_with_the_share_of_each(living_manager: str) -> None:
    at = ("--store", living_manager)
    (worker,) = json.loads(run("workers", *at, "--json").stdout)
    assert (worker["share"], worker["wanted"]) == (5, None)
    assert "Limit 5 for each manager." in run("workers", *at).stdout
    told = run("config", "apply", "--limit-scope", "fleet", "--reason", "one backend", *at)
    assert told.exit_code == 0, told.stderr
    until(lambda: json.loads(run("workers", *at, "--json").stdout)[0]["wanted"] is not None)
    assert "Limit 5 for all managers together, shared by demand." in run("workers", *at).stdout
    limit = json.loads(run("status", *at, "--json").stdout)["limit"]
    assert (limit["scope"], limit["limit"]) == ("fleet", 5)
    assert limit["shares"][worker["worker_id"]]["slots"] == 5
