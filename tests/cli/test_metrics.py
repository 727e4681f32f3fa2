"""``athena-tuning metrics export``: the records that were chosen, in a format that is known."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from athena_tuning.interchange import Import
from athena_tuning.model import QueryMetrics
from athena_tuning.store import open_store
from tests.support.command_line import run


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
