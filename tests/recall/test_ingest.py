"""Real input: good lines load, bad ones are told by number with the reason."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from athena_tuning.recall import MemoryManager
from athena_tuning.recall.ingest import BATCH, MAX_LINE, ingest_file


@pytest.fixture
def manager() -> Iterator[MemoryManager]:
    with MemoryManager(":memory:") as made:
        yield made


def line(item_id: str, **more: object) -> str:
    return json.dumps({"id": item_id, "layer": "semantic", "text": f"tea {item_id}", **more})


def test_bad_lines_are_told_and_the_rest_loads(manager: MemoryManager, tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    lines = [
        line("a").encode(),
        b"{not json",
        b"",
        line("b", layer="dreams").encode(),
        line("c", layer="graph").encode(),
        b"[1, 2]",
        b'{"id": "d", "text": "\xff"}',
        line("", layer="semantic").encode(),
        json.dumps({"id": "e", "layer": "semantic"}).encode(),
        line("f").encode(),
    ]
    path.write_bytes(b"\n".join(lines))
    report = ingest_file(manager, path)
    assert (report.loaded, report.by_layer) == (3, {"semantic": 2, "graph": 1})
    assert [number for number, _ in report.bad] == [2, 4, 6, 7, 8, 9]
    reasons = dict(report.bad)
    assert reasons[2].startswith("not JSON: ")
    assert "'dreams'; there are episodic" in reasons[4]
    assert reasons[6].startswith("an item must be an object")
    assert reasons[7] == "not UTF-8"
    assert reasons[8] == "id is empty"
    assert reasons[9] == "text is missing"
    assert {i["id"] for i in manager.recall("tea")["semantic"]} == {"a", "f"}


def test_gzip_is_told_by_its_content_and_progress_by_bytes(manager: MemoryManager, tmp_path: Path) -> None:
    path = tmp_path / "items.anything"
    path.write_bytes(gzip.compress("\n".join(line(str(n)) for n in range(BATCH + 3)).encode()))
    told: list[tuple[int, int]] = []
    report = ingest_file(manager, path, lambda done, total: told.append((done, total)))
    assert (report.loaded, report.bad) == (BATCH + 3, [])
    size = path.stat().st_size
    assert told[-1] == (size, size)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_torn_gzip_loads_what_is_whole_and_says_where_it_breaks(
    manager: MemoryManager, tmp_path: Path
) -> None:
    path = tmp_path / "items.jsonl.gz"
    whole = gzip.compress("\n".join(line(f"{n}-{n * 7919 % 1000}") for n in range(2000)).encode())
    path.write_bytes(whole[: len(whole) // 2])
    report = ingest_file(manager, path)
    assert 0 < report.loaded < 2000
    assert len(report.bad) == 1
    assert "breaks here" in report.bad[0][1]
    assert manager.counts()["semantic"] == report.loaded


def test_a_line_without_end_is_passed_over_in_bounded_memory(manager: MemoryManager, tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text("x" * (2 * MAX_LINE + 5) + "\n" + line("a"))
    report = ingest_file(manager, path)
    assert (report.loaded, [number for number, _ in report.bad]) == (1, [1])


def test_loading_again_replaces(manager: MemoryManager, tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text(line("a") + "\n" + line("b"))
    assert ingest_file(manager, path).loaded == ingest_file(manager, path).loaded == 2
    assert manager.counts()["semantic"] == 2


def test_an_empty_file_loads_nothing(manager: MemoryManager, tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text("\n\n")
    assert ingest_file(manager, path).loaded == 0
    with pytest.raises(FileNotFoundError):
        ingest_file(manager, tmp_path / "none.jsonl")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"id": "x", "layer": "semantic", "text": "half \\ud83d"}', "text holds half a character"),
        (b'{"id": "x", "layer": "semantic", "text": "t", "speaker": "\\udc00"}', "speaker holds half a"),
        (b'{"id": "x", "layer": "semantic", "text": "t", "timestamp": 1e400}', "timestamp inf is in no year"),
        (b'{"id": "x", "layer": "semantic", "text": "t", "timestamp": 1' + b"0" * 400 + b"}", "in no year"),
        (b'{"id": "x", "layer": "semantic", "text": "t", "timestamp": 1' + b"0" * 5000 + b"}", "digits"),
        (b'{"id": "x", "layer": "semantic", "text": ' + b"[" * 200_000, "nested too deeply"),
    ],
)
def test_one_bad_line_costs_itself_alone(
    manager: MemoryManager, tmp_path: Path, bad: bytes, reason: str
) -> None:
    path = tmp_path / "items.jsonl"
    lines = [line(str(n)).encode() for n in range(9)]
    path.write_bytes(b"\n".join([*lines[:4], bad, *lines[4:]]))
    report = ingest_file(manager, path)
    assert report.loaded == manager.counts()["semantic"] == 9
    assert [number for number, _ in report.bad] == [5]
    assert reason in report.bad[0][1]


def test_signs_that_no_text_needs_are_kept_and_found_beside(manager: MemoryManager, tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    texts = ["nul \0 ledger", "bom \ufeff ledger", "emoji \U0001f389 ledger", "\u202eright ledger"]
    lines = [line(str(n), text=text, entities=[text]) for n, text in enumerate(texts)]
    lines += [line(f"g{n}", layer="graph", text=text, entities=[text]) for n, text in enumerate(texts)]
    path.write_text("\ufeff" + "\n".join(lines), encoding="utf-8")
    for _ in range(2):
        report = ingest_file(manager, path)
        assert (report.loaded, report.bad) == (8, [])
    answer = manager.recall("ledger", k=10)
    assert {item["text"] for item in answer["semantic"]} == set(texts)
    assert {item["text"] for item in answer["graph"]} == set(texts)


@pytest.mark.slow
def test_a_gzip_that_is_damaged_inside_loads_what_was_before(manager: MemoryManager, tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl.gz"
    whole = bytearray(
        gzip.compress("\n".join(line(f"{n}-{n * 7919 % 1000}") for n in range(20_000)).encode())
    )
    middle = len(whole) // 2
    whole[middle : middle + 40] = b"\xff" * 40
    path.write_bytes(whole)
    report = ingest_file(manager, path)
    assert 0 < report.loaded < 20_000
    assert report.bad[-1][1].startswith("the file ends or breaks here")
    assert manager.counts()["semantic"] == report.loaded
