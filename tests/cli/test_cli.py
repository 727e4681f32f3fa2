"""The command line does what the pages do, prints for people and for scripts, and fails in one line."""

import gzip
import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from athena_tuning.cli import main
from athena_tuning.interchange import Import
from athena_tuning.model import QueryMetrics, TuningConfig
from athena_tuning.samples.sample_workloads import load_records
from athena_tuning.store import ConfigChange, Store, StoreError, open_store
from athena_tuning.testing.waiting import until

ITEMS = [
    {"id": "e1", "layer": "episodic", "text": "The billing deploy failed on Friday."},
    {"id": "s1", "layer": "semantic", "text": "Billing is owned by Ana."},
    {"id": "s2", "layer": "semantic", "text": "[bold]Markup[/bold] in a billing note stays text."},
]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATHENA_TUNING_HOME", str(tmp_path / "home"))
    for name in ("ATHENA_TUNING_STORE", "ATHENA_TUNING_MEMORY"):
        monkeypatch.delenv(name, raising=False)


def run(*args: str) -> Result:
    return CliRunner().invoke(main, args, terminal_width=200)


def items_file(folder: Path, *lines: str, name: str = "items.jsonl") -> Path:
    path = folder / name
    body = "\n".join([*(json.dumps(item) for item in ITEMS), *lines]) + "\n"
    path.write_bytes(gzip.compress(body.encode()) if name.endswith(".gz") else body.encode())
    return path


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


@pytest.fixture
def living_manager(tmp_path: Path) -> Iterator[str]:
    """A manager process with load on a store of its own; its URL."""
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    memory = tmp_path / "memory.db"
    assert run("ingest", str(items_file(tmp_path)), "--memory", str(memory)).exit_code == 0
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", "from athena_tuning.cli import main; main()", "manager"),
            *("--store", url, "--memory", str(memory), "--load", "50", "--pattern", "steady"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "manager" in process.stdout.readline()
    yield url
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "stopped after" in said


@pytest.mark.parametrize("name", ["items.jsonl", "items.jsonl.gz"])
def test_items_are_loaded_and_found(tmp_path: Path, name: str) -> None:
    loaded = run("ingest", str(items_file(tmp_path, name=name)))
    assert loaded.exit_code == 0
    assert "3 items" in loaded.stdout
    answer = run("recall", "when did the billing deploy fail?")
    assert answer.exit_code == 0
    assert "The billing deploy failed on Friday." in answer.stdout
    assert "service ms" in answer.stdout


def test_bad_lines_are_named_the_rest_is_loaded_and_the_exit_code_says_so(tmp_path: Path) -> None:
    done = run("ingest", str(items_file(tmp_path, "{", '{"layer": "semantic"}')), "--json")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert told["loaded"] == 3
    assert [bad["line"] for bad in told["bad"]] == [4, 5]
    assert "id" in told["bad"][1]["reason"]


def test_text_from_a_memory_is_never_taken_for_markup(tmp_path: Path) -> None:
    run("ingest", str(items_file(tmp_path)))
    assert "[bold]Markup[/bold]" in run("recall", "billing markup note").stdout


def test_a_recall_gives_at_most_k_results_and_where_the_time_went_as_json(tmp_path: Path) -> None:
    run("ingest", str(items_file(tmp_path)))
    told = json.loads(run("recall", "billing", "-k", "1", "--json").stdout)
    assert len(told["results"]) == 1
    assert {task["layer"] for task in told["tasks"]} == set(told["layers"])
    assert all(task["service_ms"] > 0 for task in told["tasks"])


def test_a_missing_memory_is_named_with_the_way_out() -> None:
    done = run("recall", "anything")
    assert done.exit_code == 1
    assert "memory.db" in done.stderr
    assert "athena-tuning ingest" in done.stderr


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


@pytest.mark.parametrize("name", ["out.csv", "out.csv.gz", "out.jsonl", "out.jsonl.gz", "out.parquet"])
def test_chosen_records_are_exported_and_read_back(tmp_path: Path, name: str) -> None:
    url, now = f"sqlite:///{tmp_path / 'store.db'}", time.time()
    records = [
        QueryMetrics(
            f"r{i}",
            "=1+1",
            ("temporal", "meta")[i % 2],
            now - 3600 * i,
            5.0,
            None,
            False,
            1,
            [("graph", "semantic")[i // 2 % 2]],
            {},
            True,
        )
        for i in range(12)
    ]
    with open_store(url) as store:
        store.append_metrics("w", 1, records)
    path = tmp_path / name
    narrowed = ("--since", "10.5h", "--until", "30m", "--type", "meta", "--layer", "semantic")
    told = json.loads(run("metrics", "export", str(path), *narrowed, "--store", url, "--json").stdout)
    assert told == {"file": str(path), "records": 2, "bytes": path.stat().st_size}
    assert {m.query_id for m in Import(path).records()} == {"r3", "r7"}
    assert "12 records" in run("metrics", "export", str(path), "--store", url).stdout


def test_an_export_in_no_known_format_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    open_store(url).close()
    done = run("metrics", "export", str(tmp_path / "out.xlsx"), "--store", url)
    assert done.exit_code == 1
    assert "the ending is the format" in done.stderr
    assert not (tmp_path / "out.xlsx").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_manager_that_is_told_to_stop_brings_every_recall_to_the_store(
    tmp_path: Path, number: signal.Signals
) -> None:
    url, memory = f"sqlite:///{tmp_path / 'shared.db'}", str(tmp_path / "memory.db")
    assert run("ingest", str(items_file(tmp_path)), "--memory", memory).exit_code == 0
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", "from athena_tuning.cli import main; main()", "manager"),
            *("--store", url, "--memory", memory, "--clients", "2", "--mix", "factual,temporal=2"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "manager" in process.stdout.readline()
    _wait_for_recalls(url)
    process.send_signal(number)
    said, wrong = process.communicate(timeout=60)
    assert (process.returncode, wrong) == (0, "")
    recalls = int(said.split("stopped after ")[1].split()[0])
    with open_store(url) as store:
        records = store.tail_metrics().records
        assert len(records) == recalls == store.workers()[0].recalls > 0
        assert {m.query_type for m in records} <= {"factual", "temporal"}


def _wait_for_recalls(url: str) -> None:
    """Ask until the manager, a process of its own, has brought its first recalls to the store."""
    store, pause = open_store(url), threading.Event()
    try:
        for _ in range(400):
            if store.tail_metrics().records:
                return
            pause.wait(0.05)
    finally:
        store.close()
    pytest.fail("the manager never recalled anything")


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


def test_a_what_if_is_told_to_people_and_to_scripts() -> None:
    told = run("what-if", "--sample", "bursty", "--over", "timeout")
    assert told.exit_code == 0, told.output
    plain = json.loads(run("what-if", "--sample", "bursty", "--over", "timeout", "--json").output)
    best = plain["best"]
    assert (f"best for balanced: {best}" if best else "nothing is surely better") in told.output
    for outcome in plain["outcomes"]:
        assert outcome["name"] in told.output
        value, low, high = outcome["p99_change"]
        assert low <= value <= high
    plain = json.loads(run("what-if", "--sample", "mixed", "--over", "switches", "--json").output)
    assert [outcome["name"] for outcome in plain["outcomes"]] == ["layers in turn", "cache off"]
    assert plain["outcomes"][1]["config"]["enable_cache"] is False


def test_a_limit_beyond_what_the_law_can_be_asked_is_told_as_a_guess() -> None:
    assert "a guess" in run("what-if", "--sample", "slow").output


def test_a_what_if_of_a_batch_is_of_that_batch_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'batches.db'}"
    with open_store(url) as store:
        recorded = load_records("bursty", ending_at=time.time())
        records = [record._replace(source="sample:bursty-1") for record in recorded]
        store.append_metrics("sample:bursty-1", 1, records)
    of_batch = run("what-if", "--source", "sample:bursty-1", "--over", "switches", "--store", url, "--json")
    assert of_batch.exit_code == 0, of_batch.output
    of_sample = json.loads(run("what-if", "--sample", "bursty", "--over", "switches", "--json").stdout)
    assert json.loads(of_batch.stdout)["recalls"] == of_sample["recalls"]
    assert "no batch 'sample:else'" in run("what-if", "--source", "sample:else", "--store", url).output
    assert run("what-if", "--source", "sample:bursty-1", "--sample", "slow").exit_code == 2


def test_a_what_if_without_recalls_fails_in_one_line() -> None:
    failed = run("what-if")
    assert failed.exit_code == 1
    assert "0 recalls say what their layers did" in failed.output
    assert "Traceback" not in failed.output


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
