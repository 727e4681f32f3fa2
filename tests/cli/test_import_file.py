"""Imports from a terminal: looked at first, corrected, brought into the store, and told what was left out."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from athena_tuning.cli import main
from athena_tuning.store import open_store

ROWS = "when,cost,kind\n1700000000,1500,a\n1700000001,soon,b\n1700000002,2500,a\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("ATHENA_TUNING_STORE", raising=False)
    monkeypatch.setenv("ATHENA_TUNING_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "log.csv").write_text(ROWS)
    return tmp_path


def run(*args: str) -> Result:
    return CliRunner().invoke(main, ("import", *args), terminal_width=200)


def stored(home: Path) -> list:
    with open_store(f"sqlite:///{home / 'home' / 'store.db'}") as store:
        return list(store.tail_metrics().records)


MAP = ("--map", "start=when:s", "--map", "latency=cost:us")


def test_a_preview_shows_mapping_records_and_what_is_wrong_and_brings_nothing(home: Path) -> None:
    done = run(str(home / "log.csv"), "--preview", *MAP)
    assert done.exit_code == 0, done.stderr
    for part in ("CSV", "latency", "cost", "us", "1.5"):
        assert part in done.stdout
    assert "row 3: cost: no number: 'soon'" in done.stderr
    told = json.loads(run(str(home / "log.csv"), "--preview", "--json", *MAP).stdout)
    assert (told["mapping"]["start"], told["mapping"]["latency_unit"]) == ("when", "us")
    assert [m["latency_ms"] for m in told["records"]] == [1.5, 2.5]
    assert told["records"][0]["success"] is None
    assert stored(home) == []


def test_an_import_reaches_the_store_says_what_was_left_out_and_ends_with_code_1(home: Path) -> None:
    done = run(str(home / "log.csv"), *MAP)
    assert done.exit_code == 1
    assert "2 queries" in done.stdout
    assert "times were moved" in done.stdout
    assert "row 3: cost: no number" in done.stderr
    assert [(m.query_type, m.latency_ms, m.source) for m in stored(home)] == [
        ("a", 1.5, "imported"),
        ("a", 2.5, "imported"),
    ]


def test_a_good_file_ends_with_code_0_and_comes_once(home: Path) -> None:
    (home / "log.csv").write_text("ts,latency_ms\n1700000000,5\n")
    first = json.loads(run(str(home / "log.csv"), "--json").stdout)
    assert (first["records"], first["bad"], first["imported_before"]) == (1, 0, None)
    again = run(str(home / "log.csv"))
    assert again.exit_code == 0
    assert "--again" in again.stdout
    assert len(stored(home)) == 1
    assert run(str(home / "log.csv"), "--again").exit_code == 0
    assert len(stored(home)) == 2


def test_refusing_brings_nothing_and_names_the_row(home: Path) -> None:
    done = run(str(home / "log.csv"), "--on-error", "refuse", *MAP)
    assert done.exit_code == 1
    assert "refused: row 3: cost: no number" in done.stderr
    assert stored(home) == []


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("--map", "latency=price"), 2, "'price', which is none of 'when', 'cost', 'kind'"),
        (("--map", "colour=cost"), 2, "has no colour"),
        (("--on-error", "cry"), 2, "cry"),
        (("--map", "start="), 1, "no column says when"),
        (("--encoding", "klingon"), 1, "klingon"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(
    home: Path, args: tuple[str, ...], code: int, said: str
) -> None:
    done = run(str(home / "log.csv"), *args)
    assert (done.exit_code, said in done.stderr) == (code, True), (done.stderr, done.exception)
    assert "Traceback" not in done.stderr


def test_a_trace_needs_no_mapping(home: Path) -> None:
    span = {"traceId": "a", "id": "1", "name": "ask", "timestamp": 1_700_000_000_000_000}
    (home / "trace.json").write_text(json.dumps([span]))
    done = run(str(home / "trace.json"), "--map", "latency=x")
    assert (done.exit_code, "zipkin, which needs no mapping" in done.stderr) == (2, True)
    told = json.loads(run(str(home / "trace.json"), "--preview", "--json").stdout)
    assert (told["mapping"], told["records"][0]["latency_ms"]) == (None, None)
