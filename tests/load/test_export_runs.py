"""Runs are written as tables that others read: figures as columns, unknown as nothing, no formula."""

from __future__ import annotations

import csv
import json

import pyarrow.parquet as pq
import pytest

from athena_tuning.load.export_runs import export_runs
from athena_tuning.load.run import LoadRun
from athena_tuning.load.spec import LoadSpec


class Fails:
    def recall(self, query, *, k):
        raise ConnectionError("gone")


def runs():
    ran = LoadRun(Fails(), LoadSpec(rate_per_s=400, duration_s=0.1, seed=1), run_id="first").start()
    ran.wait()
    never = LoadRun(Fails(), LoadSpec(clients=2, replay_of="=1+1"), run_id="second")
    return [ran.summary(), never.summary()]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_each_format_tells_the_figures_of_each_run(tmp_path, suffix):
    path = tmp_path / f"runs.{suffix}"
    made = runs()
    assert export_runs(made, path) == 2
    if suffix == "csv":
        first, second = csv.DictReader(path.open(newline=""))
    elif suffix == "jsonl":
        first, second = map(json.loads, path.read_text().splitlines())
    else:
        first, second = pq.read_table(path).to_pylist()
    assert (first["id"], second["id"]) == ("first", "second")
    assert float(first["p99_ms"]) == made[0].p99_ms
    assert int(first["finished"]) == made[0].finished > 10
    assert json.loads(first["errors_by_name"]) == {"ConnectionError": made[0].errors}
    assert float(first["spec_rate_per_s"]) == 400
    assert second["p99_ms"] in (None, "")
    assert second["spec_replay_of"] == ("'=1+1" if suffix == "csv" else "=1+1")


def test_nothing_and_an_unknown_format_are_refused_and_leave_no_file(tmp_path):
    with pytest.raises(ValueError, match="no run to export"):
        export_runs([], tmp_path / "a.csv")
    with pytest.raises(ValueError, match="the ending is the format"):
        export_runs(runs(), tmp_path / "a.xls")
    assert list(tmp_path.iterdir()) == []
