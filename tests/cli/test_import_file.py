"""Imports from a terminal: looked at first, corrected, brought into the store, and told what was left out."""

import json
from pathlib import Path

import pytest
from click.testing import Result

from athena_tuning.model.source import kind_of
from athena_tuning.store import open_store
from tests.support import command_line

ROWS = "when,cost,kind\n1700000000,1500,a\n1700000001,soon,b\n1700000002,2500,a\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    (tmp_path / "log.csv").write_text(ROWS)
    return tmp_path


def run(*args: str) -> Result:
    return command_line.run("import", *args)


def stored(folder: Path) -> list:
    with open_store(f"sqlite:///{folder / 'home' / 'store.db'}") as store:
        return list(store.tail_metrics().records)


MAP = ("--map", "start=when:s", "--map", "latency=cost:us")


def test_a_preview_shows_mapping_records_and_what_is_wrong_and_brings_nothing(folder: Path) -> None:
    done = run(str(folder / "log.csv"), "--preview", *MAP)
    assert done.exit_code == 0, done.stderr
    for part in ("CSV", "latency", "cost", "us", "1.5"):
        assert part in done.stdout
    assert "row 3: cost: no number: 'soon'" in done.stderr
    told = json.loads(run(str(folder / "log.csv"), "--preview", "--json", *MAP).stdout)
    assert (told["mapping"]["start"], told["mapping"]["latency_unit"]) == ("when", "us")
    assert [m["latency_ms"] for m in told["records"]] == [1.5, 2.5]
    assert told["records"][0]["success"] is None
    assert stored(folder) == []


def test_an_import_reaches_the_store_says_what_was_left_out_and_ends_with_code_1(folder: Path) -> None:
    done = run(str(folder / "log.csv"), *MAP)
    assert done.exit_code == 1
    assert "2 queries" in done.stdout
    assert "times were moved" in done.stdout
    assert "row 3: cost: no number" in done.stderr
    assert [(m.query_type, m.latency_ms, kind_of(m.source)) for m in stored(folder)] == [
        ("a", 1.5, "imported"),
        ("a", 2.5, "imported"),
    ]


def test_a_good_file_ends_with_code_0_and_comes_once(folder: Path) -> None:
    (folder / "log.csv").write_text("ts,latency_ms\n1700000000,5\n")
    first = json.loads(run(str(folder / "log.csv"), "--json").stdout)
    assert (first["records"], first["bad"], first["imported_before"]) == (1, 0, None)
    again = run(str(folder / "log.csv"))
    assert again.exit_code == 0
    assert "--again" in again.stdout
    assert len(stored(folder)) == 1
    assert run(str(folder / "log.csv"), "--again").exit_code == 0
    assert len(stored(folder)) == 2


def test_refusing_brings_nothing_and_names_the_row(folder: Path) -> None:
    done = run(str(folder / "log.csv"), "--on-error", "refuse", *MAP)
    assert done.exit_code == 1
    assert "refused: row 3: cost: no number" in done.stderr
    assert stored(folder) == []


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
    folder: Path, args: tuple[str, ...], code: int, said: str
) -> None:
    done = run(str(folder / "log.csv"), *args)
    assert (done.exit_code, said in done.stderr) == (code, True), (done.stderr, done.exception)
    assert "Traceback" not in done.stderr


def test_a_trace_needs_no_mapping(folder: Path) -> None:
    span = {"traceId": "a", "id": "1", "name": "ask", "timestamp": 1_700_000_000_000_000}
    (folder / "trace.json").write_text(json.dumps([span]))
    done = run(str(folder / "trace.json"), "--map", "latency=x")
    assert (done.exit_code, "zipkin, which needs no mapping" in done.stderr) == (2, True)
    told = json.loads(run(str(folder / "trace.json"), "--preview", "--json").stdout)
    assert (told["mapping"], told["records"][0]["latency_ms"]) == (None, None)
