"""What pages read of a window: figures, marks."""

from __future__ import annotations

import pytest

from athena_tuning.model import Annotation, ConfigVersion, Mode, QueryMetrics, TuningConfig
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.service import window_reads
from athena_tuning.service.view import View

VIEW = View(1.7e9, 1.7e9 + 1000)


@pytest.mark.parametrize(
    ("recalls", "known"), [(46, ["p50"]), (100, ["p50", "p95"]), (500, ["p50", "p95", "p99"])]
)
def test_kpis_leave_out_percentiles_that_too_few_recalls_carry(recalls: int, known: list[str]) -> None:
    window = PerformanceProfiler(clock=lambda: VIEW.end)
    for n in range(recalls):
        window.record_query(
            QueryMetrics(f"q{n}", "?", "factual", 1.7e9 + 500, 5.0 + n, None, False, 1, [], {}, True)
        )
    values = {kpi.label.split()[0]: kpi.value for kpi in window_reads.kpis(window, VIEW)}
    assert [name for name in ("p50", "p95", "p99") if values[name] != window_reads.TOO_FEW] == known


def test_marks_of_a_period_say_who_changed_what_and_why() -> None:
    version = ConfigVersion(7, 6, "all", TuningConfig(), Mode.ADVISE, "ann", "more cores", 1.7e9 + 500)
    notes = [Annotation(1.7e9 + 600, "deploy", "ben"), Annotation(1.7e9 + 1500, "too late", "ben")]
    marks = window_reads.marks([version], notes, VIEW)
    assert [(mark.label, mark.about) for mark in marks] == [
        ("v7", "v7 by ann: more cores"),
        ("deploy", "deploy (ben)"),
    ]
