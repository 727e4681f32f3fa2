"""Load from a terminal: it runs, is kept, compared and stopped, and wrong wishes are named."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import Result

from athena_tuning.cli.load_options import spec_of
from athena_tuning.load.remote_run import RemoteRun
from athena_tuning.load.run_handle import State
from athena_tuning.load.spec import LoadSpec
from athena_tuning.recall import MemoryManager
from athena_tuning.service.embedded import Embedded
from athena_tuning.store import open_store
from tests.support import command_line


@pytest.fixture(autouse=True)
def home(home: Path) -> Path:
    with MemoryManager(home / "memory.db") as manager:
        manager.remember({"id": "e1", "layer": "episodic", "text": "The billing deploy failed on Friday."})
    return home


def run(*args: str) -> Result:
    return command_line.run("load", *args)


def made(*args: str) -> dict:
    done = run("run", "--rate", "200", "--seconds", "0.3", "--json", *args)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_a_run_is_kept_listed_shown_and_in_the_store(home: Path) -> None:
    came = made("--pattern", "steady", "--mix", "factual=1")
    assert came["finished"] == came["offered"] > 10
    assert [kept["id"] for kept in json.loads(run("list", "--json").stdout)] == [came["id"]]
    assert json.loads(run("show", came["id"], "--json").stdout) == came
    assert came["id"] in run("list").stdout
    assert f"{came['finished']:,}" in run("show", came["id"]).stdout
    with open_store(f"sqlite:///{home / 'store.db'}") as store:
        records = store.tail_metrics().records
    assert len(records) == came["finished"]
    assert {m.query_type for m in records} <= {"factual"}


def test_a_run_is_compared_with_an_earlier_one_and_too_little_is_inconclusive() -> None:
    first = made()
    second = made("--compare", "newest")
    assert (second["comparison"]["before"], second["comparison"]["after"]) == (first["id"], second["id"])
    assert {d["verdict"] for d in second["comparison"]["differences"]} == {"inconclusive"}
    assert json.loads(run("compare", first["id"], second["id"], "--json").stdout) == second["comparison"]
    assert "inconclusive" in run("compare", first["id"], second["id"]).stdout


def test_a_file_is_replayed_and_questions_that_it_lacks_are_asked_from_the_sample(home: Path) -> None:
    log = home / "log.csv"
    log.write_text("ts,endpoint\n" + "".join(f"{1_700_000_000 + n},/search\n" for n in range(20)))
    done = run("run", "--replay", str(log), "--speed", "100", "--json")
    assert done.exit_code == 0, done.stderr
    came = json.loads(done.stdout)
    assert (came["finished"], came["errors"]) == (20, 0)
    assert came["spec"]["replay_of"] == str(log)
    again = run("run", "--replay", "live", "--speed", "100", "--json")
    assert json.loads(again.stdout)["finished"] == 20


def test_a_run_that_is_told_to_end_stops_is_kept_and_says_so(home: Path) -> None:
    command = [sys.executable, "-c", "from athena_tuning.cli import main; main()", "load", "run"]
    process = subprocess.Popen(
        [*command, "--seconds", "0", "--rate", "50", "--json"],
        stdout=subprocess.PIPE,
        env=os.environ | {"ATHENA_TUNING_HOME": str(home)},
        text=True,
    )
    with open_store(f"sqlite:///{home / 'store.db'}") as store:
        while not store.tail_metrics().records:
            assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert json.loads(said)["state"] == "stopped"
    assert run("show", json.loads(said)["id"]).exit_code == 0


def test_a_manager_elsewhere_asks_itself_and_can_be_stopped_from_here(home: Path) -> None:
    with open_store(f"sqlite:///{home / 'store.db'}") as store:
        there = Embedded(home / "memory.db", store)
        came = made("--on", there.manager.worker_id, "--pattern", "steady")
        assert came["finished"] == there.manager.status().recalls > 10
        long = RemoteRun(store, LoadSpec(rate_per_s=20, duration_s=600)).start()
        while long.progress().finished == 0:
            assert long.state is State.RUNNING
        assert run("steer", long.id, "stop").exit_code == 0
        assert long.wait(60)
        assert long.state is State.STOPPED
        there.close()
    assert run("steer", "nobody", "stop").exit_code == 1
    endless = run("run", "--on", "any", "--seconds", "0")
    assert (endless.exit_code, "needs an end" in endless.stderr) == (1, True)


def test_questions_of_ones_own_are_asked_in_their_types(home: Path) -> None:
    (home / "mine.txt").write_text("How do I deploy?\n\nWho owns billing?\n")
    came = made("--questions", str(home / "mine.txt"))
    assert set(came["spec"]["mix"]) == {"procedural", "factual"}
    with open_store(f"sqlite:///{home / 'store.db'}") as store:
        texts = {m.query_text for m in store.tail_metrics().records}
    assert {text.partition(" shop ")[0] for text in texts} == {"How do I deploy?", "Who owns billing?"}
    (home / "none.txt").write_text("\n")
    assert run("run", "--questions", str(home / "none.txt")).exit_code == 2


def test_runs_are_exported(home: Path) -> None:
    came = made()
    assert run("export", str(home / "runs.csv")).exit_code == 0
    assert came["id"] in (home / "runs.csv").read_text()
    assert run("export", str(home / "runs.doc")).exit_code == 1


def test_runs_are_forgotten_by_name() -> None:
    came = made()
    assert run("delete", came["id"]).exit_code == 0
    assert json.loads(run("list", "--json").stdout) == []
    assert run("delete", came["id"]).exit_code == 1


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("run", "--mix", "gossip=1"), 2, "'gossip' is none of"),
        (("run", "--mix", "factual=much"), 2, "no TYPE=WEIGHT"),
        (("run", "--pattern", "replay"), 2, "needs --replay"),
        (("run", "--rate", "0"), 2, "--rate"),
        (("run", "--rate", "100000", "--seconds", "9000"), 2, "above 20,000,000"),
        (("run", "--dispersion", "50", "--seconds", "60"), 1, "needs a run of at least 300 s"),
        (("run", "--replay", "nowhere"), 1, "there is no recording 'nowhere'"),
        (("run", "--replay", "imported"), 1, "nothing to replay in 'imported'"),
        (("run", "--compare", "nobody"), 1, "there is no run nobody"),
        (("show", "../../etc/passwd"), 1, "letters, digits"),
        (("compare", "a", "b"), 1, "there is no run a"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(args: tuple[str, ...], code: int, said: str) -> None:
    done = run(*args)
    assert (done.exit_code, said in done.stderr) == (code, True), done.stderr
    assert json.loads(run("list", "--json").stdout) == []


def test_options_describe_a_load_and_what_they_leave_open_has_its_default() -> None:
    spec = spec_of(5.0, None, {"clients": 3, "think_s": 0.5, "mix": None, "memory": "passed over"})
    assert (spec.clients, spec.think_s, spec.duration_s, spec.pattern) == (3, 0.5, None, "bursty")
    with pytest.raises(click.UsageError, match="cv"):
        spec_of(5.0, 1.0, {"cv": -1.0})
