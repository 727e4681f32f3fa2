"""What pages read of a window: figures, marks."""

from __future__ import annotations

from athena_tuning.model import Annotation, ConfigVersion, Mode, TuningConfig
from athena_tuning.service import window_reads
from athena_tuning.service.view import View

VIEW = View(1.7e9, 1.7e9 + 1000)


def test_marks_of_a_period_say_who_changed_what_and_why() -> None:
    version = ConfigVersion(7, 6, "all", TuningConfig(), Mode.ADVISE, "ann", "more cores", 1.7e9 + 500)
    notes = [Annotation(1.7e9 + 600, "deploy", "ben"), Annotation(1.7e9 + 1500, "too late", "ben")]
    marks = window_reads.marks([version], notes, VIEW)
    assert [(mark.label, mark.about) for mark in marks] == [
        ("v7", "v7 by ann: more cores"),
        ("deploy", "deploy (ben)"),
    ]
