"""``athena-tuning layers``: what managers elsewhere reported of their layers."""

from __future__ import annotations

import json
from pathlib import Path

from athena_tuning.recall import MemoryManager
from athena_tuning.store import open_store
from athena_tuning.testing.waiting import until
from tests.support import command_line
from tests.support.memory_layers import StubLayer, failing, items


def run(*args: str) -> str:
    done = command_line.run(*args)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_layers_command_shows_which_layer_is_left_out_why_and_at_what_price(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    layers = [StubLayer("good", items("a")), StubLayer("tickets", failing)]
    with (
        open_store(url) as store,
        MemoryManager(":memory:", layers=layers, store=store, worker_id="w1") as manager,
    ):
        for turn in range(20):
            manager.recall(f"q {turn}", use_cache=False)
        until(lambda: "open" in store.posted("layers").get("w1", ""))
        told = {layer["layer"]: layer for layer in json.loads(run("layers", "--store", url, "--json"))}
        assert (told["good"]["state"], told["good"]["calls"]) == ("closed", 20)
        dead = told["tickets"]
        assert (dead["state"], dead["worker_id"], dead["left_out"]) == ("open", "w1", 15)
        shown = run("layers", "--store", url)
        lines = [line for line in shown.splitlines() if line.startswith("tickets")]
        assert lines[1] == "tickets (w1): 5 calls in a row failed, the last: ConnectionError: no route"
        row = lines[0].split()
        assert (row[1], row[-6:-3]) == ("open", ["5", "0", "15"]), "5 failed, 0 late, 15 times left out"


def test_layers_command_without_a_manager_says_so(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    open_store(url).close()
    assert "no manager that is alive" in run("layers", "--store", url)
    assert json.loads(run("layers", "--store", url, "--json")) == []


def test_layers_command_shows_what_layers_take_of_memory(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"

    def sizes() -> list[str]:
        return [line for line in run("layers", "--store", url).splitlines() if " kB " in line]

    with open_store(url) as store, MemoryManager(":memory:", store=store, worker_id="w1"):
        until(sizes)
        graph = next(line.split() for line in sizes() if line.startswith("graph"))
        assert graph[2:] == ["kB", "–", "–", "w1"]  # nothing is sampled
        assert float(graph[1]) > 4


def test_layers_command_shows_what_layers_took_of_memory_after_their_manager_has_gone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    with open_store(url) as store:
        assert "no manager has told" in run("layers", "--memory-hours", "24", "--store", url)
        with MemoryManager(":memory:", store=store, worker_id="w1"):
            until(lambda: store.posted("layer memory"))
    told = json.loads(run("layers", "--memory-hours", "168", "--store", url, "--json"))
    graph = next(hour for hour in told if hour["layer"] == "graph")
    assert (graph["worker_id"], graph["peak_bytes"], graph["start"] % 3600) == ("w1", None, 0)
    assert graph["index_bytes"] > 0
    line = next(
        each
        for each in run("layers", "--memory-hours", "168", "--store", url).splitlines()
        if "graph" in each
    )
    assert line.split()[-4:] == ["kB", "–", "–", "0"]
    done = command_line.run("layers", "--memory-hours", "0", "--store", url)
    assert done.exit_code == 2
    assert "0" in done.stderr
