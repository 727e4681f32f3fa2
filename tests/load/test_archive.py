"""Runs come back as they were kept; damage is told, not hidden."""

from __future__ import annotations

import math
import os

import pytest

from athena_tuning.load.archive import RunArchive
from athena_tuning.load.blocks import RecallOutcome, Tally
from athena_tuning.load.spec import LoadSpec
from athena_tuning.load.summary import summarize


def summary(run_id="r1", n=3):
    tally = Tally()
    for i in range(n):
        tally.record(RecallOutcome("factual", i * 0.4, 10.0 + i, 9.0, "", False, True, 7))
    return summarize(run_id, LoadSpec("bursty", dispersion=80), "finished", 1.0, 2.0, n, tally)


def test_a_run_comes_back_as_it_was_kept(tmp_path):
    archive = RunArchive(tmp_path / "runs")
    archive.save(summary())
    assert archive.load("r1") == summary()
    assert archive.newest() == [summary()]


def test_a_run_without_recalls_keeps_its_unknowns(tmp_path):
    archive = RunArchive(tmp_path)
    archive.save(summary(n=0))
    assert math.isnan(archive.load("r1").p50_ms)


def test_newest_comes_first_and_the_limit_holds(tmp_path):
    archive = RunArchive(tmp_path)
    for number in range(4):
        path = archive.save(summary(f"r{number}"))
        os.utime(path, (number, number))
    assert [run.id for run in archive.newest(2)] == ["r3", "r2"]


def test_deleting_tells_whether_there_was_something(tmp_path):
    archive = RunArchive(tmp_path)
    archive.save(summary())
    assert archive.delete("r1")
    assert not archive.delete("r1")
    with pytest.raises(KeyError):
        archive.load("r1")


def test_a_damaged_file_is_named_and_the_others_are_listed(tmp_path, caplog):
    archive = RunArchive(tmp_path)
    archive.save(summary("good"))
    (tmp_path / "bad.json").write_text('{"id": "bad"}')
    with pytest.raises(ValueError, match=r"bad\.json does not hold a run"):
        archive.load("bad")
    assert [run.id for run in archive.newest()] == ["good"]
    assert "bad.json" in caplog.text


@pytest.mark.parametrize("run_id", ["../evil", "", "a/b", "a" * 65])
def test_an_id_that_is_no_plain_name_is_refused(tmp_path, run_id):
    with pytest.raises(ValueError, match="id has letters"):
        RunArchive(tmp_path).load(run_id)
