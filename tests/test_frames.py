"""Records as tables of pandas: a row a record, typed, nothing lost."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from athena_tuning.frames import Records
from athena_tuning.load.archive import RunArchive
from athena_tuning.load.blocks import RecallOutcome, Tally
from athena_tuning.load.spec import LoadSpec
from athena_tuning.load.summary import LoadSummary, summarize
from athena_tuning.model import (
    Action,
    Candidate,
    ConfigVersion,
    Decision,
    Mode,
    Reason,
    TuningConfig,
    TuningStrategy,
    WorkerStatus,
)

CONFIG = TuningConfig(
    max_concurrent=9,
    strategy=TuningStrategy.COST,
    deadline_seconds=0.5,
    layer_timeouts={"graph": 2.5},
    skipped_layers=frozenset({"semantic", "episodic"}),
)
VERSIONS = [
    ConfigVersion(2, 1, "temporal", CONFIG, Mode.AUTO, "ann", "more", 1_750_000_000.25, restores=1),
    ConfigVersion(1, 0, "all", TuningConfig(), Mode.ADVISE, "bo", "first", 1_750_000_000.0),
]


def run(name: str, n: int) -> LoadSummary:
    tally = Tally()
    for i in range(n):
        tally.record(RecallOutcome("factual", i * 0.4, 10.0 + i, 9.0, "", False, True, 7))
    started = 1_750_000_000.0 if n else None
    return summarize(name, LoadSpec("bursty", clients=None if n else 3), "finished", started, 2.0, n, tally)


def test_a_row_of_the_config_history_is_a_version_with_its_config() -> None:
    newest, first = Records(ConfigVersion, VERSIONS).to_pandas().to_dict("records")
    assert newest["time"] == datetime(2025, 6, 15, 15, 6, 40, 250_000, UTC)
    assert (newest["version"], newest["parent"], newest["scope"], newest["restores"]) == (2, 1, "temporal", 1)
    assert (newest["mode"], newest["author"], newest["reason"]) == ("auto", "ann", "more")
    assert newest["config_max_concurrent"] == 9
    assert newest["config_strategy"] == "cost"
    assert newest["config_deadline_seconds"] == 0.5
    assert newest["config_layer_timeouts_seconds"] == {"graph": 2.5}
    assert newest["config_skipped_layers"] == ["episodic", "semantic"]
    assert pd.isna(first["restores"])
    assert pd.isna(first["config_deadline_seconds"])


def test_columns_of_the_config_history_have_types_also_where_it_is_empty() -> None:
    full, empty = Records(ConfigVersion, VERSIONS).to_pandas(), Records(ConfigVersion).to_pandas()
    assert full.dtypes.to_dict() == empty.dtypes.to_dict()
    assert str(full.dtypes["time"]) == "datetime64[us, UTC]"
    assert str(full.dtypes["restores"]) == "Int64"
    assert str(full.dtypes["config_enable_cache"]) == "bool"
    assert list(full["mode"].cat.categories) == [mode.value for mode in Mode]


def test_a_row_of_the_decisions_has_both_configs_and_what_was_expected() -> None:
    decision = Decision(
        "d1", 5.5, "model", "all", Action.CANARY, TuningConfig(), CONFIG, "more at once", 500,
        reasons=(Reason("max_concurrent", 9, "gains", {}, 500),),
        candidates=(Candidate(CONFIG, -0.2, -0.3, -0.1),),
        predicted=-0.2,
    )  # fmt: skip
    (row,) = Records(Decision, [decision]).to_pandas().to_dict("records")
    assert (row["action"], row["samples"], row["predicted"]) == ("canary", 500, -0.2)
    assert (row["before_max_concurrent"], row["after_max_concurrent"]) == (5, 9)
    assert row["reasons"] == decision.reasons
    assert pd.isna(row["observed"])
    assert pd.isna(row["config_version"])
    assert pd.isna(row["bound"])


def test_a_row_of_the_runs_is_a_run_with_its_spec(tmp_path: Path) -> None:
    archive = RunArchive(tmp_path)
    runs = [run("r1", 3), run("r2", 0)]
    for made in runs:
        archive.save(made)
    table = archive.newest().to_pandas().set_index("id")
    assert set(table.index) == {"r1", "r2"}
    for made in runs:
        row = table.loc[made.id]
        for name in ("offered", "finished", "elapsed_s", "p50_ms", "p99_ms", "late_p99_ms", "errors"):
            value = getattr(made, name)
            assert row[name] == value or (pd.isna(row[name]) and value != value)
        assert row["spec_pattern"] == "bursty"
        assert row["config_versions"] == dict(made.config_versions)
    assert pd.isna(table.loc["r2", "started"])
    assert table.loc["r2", "spec_clients"] == 3
    assert pd.isna(table.loc["r1", "spec_clients"])
    assert not {"blocks", "block_s"} & set(table)


def test_a_single_run_is_a_table_of_one_row() -> None:
    (row,) = run("r1", 3).to_pandas().to_dict("records")
    assert (row["id"], row["finished"]) == ("r1", 3)


def test_records_are_the_list_that_they_were() -> None:
    found = Records(WorkerStatus, [WorkerStatus("a", "host", 1, 2.0, 3.0)])
    assert found == [WorkerStatus("a", "host", 1, 2.0, 3.0)]
    assert str(found.to_pandas().dtypes["last_seen"]) == "datetime64[us, UTC]"
