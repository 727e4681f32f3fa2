"""A replay finds what to replay in samples, files and stores, and says what there is where it does not."""

from __future__ import annotations

import pytest

from athena_tuning.load import recordings
from athena_tuning.model import QueryMetrics
from athena_tuning.samples import sample_workloads
from athena_tuning.store import open_store


def record(n, source="live"):
    return QueryMetrics(
        f"q{n}", f"text {n}", "factual", 1e9 + n, 5.0, None, None, 1, [], {}, True, source=source
    )


def questions_of(recording):
    return [(m.timestamp, m.query_type, m.query_text) for m in recording]


def test_a_sample_is_found_by_its_name():
    recording = recordings.recorded("fast")
    assert questions_of(recording) == questions_of(sample_workloads.load_records("fast"))
    assert {m.latency_ms for m in recording} == {None}


def test_a_file_is_found_by_its_path(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("ts,query\n1700000000,first\n1700000002,second\n")
    assert questions_of(recordings.recorded(str(path))) == [
        (1.7e9, "unknown", "first"),
        (1.7e9 + 2, "unknown", "second"),
    ]


def test_what_a_store_holds_is_found_by_its_source():
    with open_store("memory://") as store:
        store.append_metrics("w", 1, [record(n, "imported" if n % 2 else "live") for n in range(6)])
        assert [m.query_text for m in recordings.recorded("imported", store)] == [
            "text 1",
            "text 3",
            "text 5",
        ]
        assert [m.query_text for m in recordings.recorded("live", store)] == ["text 0", "text 2", "text 4"]


def test_of_a_long_recording_the_newest_part_is_kept(monkeypatch):
    monkeypatch.setattr(recordings, "MOST", 2)
    with open_store("memory://") as store:
        store.append_metrics("w", 1, [record(n) for n in range(5)])
        assert [m.query_text for m in recordings.recorded("live", store)] == ["text 3", "text 4"]


def test_what_is_no_recording_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"no recording 'gone': name a file, one of .*fast.*imported, live"):
        recordings.recorded("gone")
    with open_store("memory://") as store, pytest.raises(ValueError, match="nothing to replay in 'live'"):
        recordings.recorded("live", store)
