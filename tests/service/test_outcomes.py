"""Did it help? Expectations against what came, and decisions and writes in words."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from athena_tuning.model import (
    Action,
    Annotation,
    Candidate,
    ConfigVersion,
    Decision,
    Mode,
    QueryMetrics,
    Reason,
    TuningConfig,
)
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.service import outcomes
from athena_tuning.service.view import View
from athena_tuning.tuning.simulation.what_if import Estimate

VIEW = View(0, 1e10)
NOW = 1.8e9
AFTER = TuningConfig(max_concurrent=8)


def known_outcome(observed: tuple[Estimate, int] | str) -> tuple[Estimate, int]:
    assert not isinstance(observed, str), observed
    return observed


def seen(
    *parts: tuple[str, int, float, int], source: str = "live", seed: int = 4, hit: bool = False
) -> PerformanceProfiler:
    """A window of (type, config version, median ms, recalls)."""
    profiler = PerformanceProfiler(clock=lambda: NOW)
    rng = np.random.default_rng(seed)
    for kind, version, median, n in parts:
        for i, ms in enumerate(rng.lognormal(math.log(median), 0.4, n).tolist()):
            profiler.record_query(
                QueryMetrics(
                    f"{kind}{version}{i}", "?", kind, NOW - 100 + i / n, ms, None, hit, 1, [], {}, True,
                    config_version=version, source=source,
                )
            )  # fmt: skip
    return profiler


def decision(**more: object) -> Decision:
    made = Decision("d1", 1.0, "model", "all", Action.CANARY, TuningConfig(), AFTER, "Raise the limit.", 400)
    return replace(made, **more)  # type: ignore[arg-type]


def version(number: int, parent: int = 0, **more: object) -> ConfigVersion:
    made = ConfigVersion(number, parent, "all", TuningConfig(), Mode.ADVISE, "ann", "why not", float(number))
    return replace(made, **more)  # type: ignore[arg-type]


def test_a_mix_that_changes_meanwhile_is_no_change_of_latency() -> None:
    window = seen(("a", 1, 10.0, 900), ("b", 1, 100.0, 100), ("a", 2, 10.0, 100), ("b", 2, 100.0, 900))
    change, n = known_outcome(outcomes.observed_change(window, VIEW, 1, 2))
    assert n == 1000
    assert change.low < 0 < change.high
    assert abs(change.value) < 0.1


def test_a_real_change_is_found_with_its_size() -> None:
    window = seen(("a", 3, 20.0, 800), ("b", 3, 50.0, 800), ("a", 4, 15.0, 800), ("b", 4, 37.5, 800))
    change, _ = known_outcome(outcomes.observed_change(window, VIEW, 3, 4))
    assert change.value == pytest.approx(math.log(0.75), abs=0.05)
    assert change.high < 0


def test_intervals_hold_the_truth_about_nineteen_times_in_twenty() -> None:
    held = 0
    for seed in range(60):
        window = seen(("a", 1, 10.0, 300), ("a", 2, 12.0, 300), seed=seed)
        change, _ = known_outcome(outcomes.observed_change(window, VIEW, 1, 2))
        held += change.low <= math.log(1.2) <= change.high
    assert held >= 51


def test_too_few_recalls_or_recalls_that_were_not_measured_live_say_nothing() -> None:
    for window in (
        seen(("a", 1, 10.0, 29), ("a", 2, 10.0, 500)),
        seen(("a", 1, 10.0, 500), ("a", 2, 10.0, 500), source="sample"),
        seen(("a", 1, 10.0, 500), ("a", 2, 10.0, 500), hit=True),
    ):
        why = outcomes.observed_change(window, VIEW, 1, 2)
        assert "no type has 30 recalls under v1 and under v2" in str(why)


def test_another_load_cannot_be_compared_and_is_said() -> None:
    why = outcomes.observed_change(seen(("a", 1, 10.0, 300), ("a", 2, 10.0, 600)), VIEW, 1, 2)
    assert why == "layers were asked at 301 /s under v1, at 601 /s after"


def test_a_timeout_that_no_recall_came_near_has_had_no_effect() -> None:
    window = seen(("a", 1, 10.0, 300), ("a", 2, 13.0, 300))
    shorter = TuningConfig(timeout_seconds=5.0), TuningConfig(timeout_seconds=8.33)
    why = outcomes.observed_change(window, VIEW, 1, 2, shorter)
    assert "none was waited for less than 5 s" in str(why)
    tight = TuningConfig(timeout_seconds=0.01), TuningConfig(timeout_seconds=8.33)
    assert known_outcome(outcomes.observed_change(window, VIEW, 1, 2, tight))
    limits = TuningConfig(), TuningConfig(max_concurrent=8)
    assert known_outcome(outcomes.observed_change(window, VIEW, 1, 2, limits))


def test_a_view_of_one_type_looks_at_that_type_only() -> None:
    window = seen(("a", 1, 10.0, 300), ("a", 2, 20.0, 300), ("b", 1, 10.0, 300), ("b", 2, 10.0, 300))
    change, n = known_outcome(outcomes.observed_change(window, VIEW.only(query_type="a"), 1, 2))
    assert n == 300
    assert change.value == pytest.approx(math.log(2), abs=0.15)


def expecting(**inputs: float) -> Decision:
    reason = Reason("max_concurrent", 8, "least objective", inputs, 400)
    return decision(config_version=7, predicted=-1.8, reasons=(reason,))


def verdict(observed: float, measure: str) -> Decision:
    return decision(
        decision_id="d2", action=Action.CONFIRM, verdict_on="d1", observed=observed, measure=measure,
        samples=250, predicted=-1.8,
    )  # fmt: skip


def test_the_tuners_own_verdict_counts_before_what_the_window_says() -> None:
    made = expecting(latency_change=-0.2, low=-0.3, high=-0.1)
    asked: list[tuple[int, int]] = []

    def observe(_: Decision, before: int, after: int) -> tuple[Estimate, int]:
        asked.append((before, after))
        return Estimate(-0.4, -0.5, -0.3), 900

    (point,), _ = outcomes.predictions([verdict(-0.15, "latency"), made], [version(7, 6)], observe)
    assert (point.name, point.expected.value, point.observed.value, point.n) == ("v7", -0.2, -0.15, 250)
    assert asked == []
    (point,), _ = outcomes.predictions([made], [version(7, 6)], observe)
    assert (point.observed.value, asked) == (-0.4, [(6, 7)])


def test_what_is_expected_is_of_the_measure_that_was_observed_or_nothing_is_compared() -> None:
    made = expecting(latency_change=-0.2, low=-0.3, high=-0.1, capacity_change=0.3)
    (point,), _ = outcomes.predictions([verdict(0.25, "capacity"), made], [version(7, 6)], nothing)
    assert (point.measure, point.expected.value, point.observed.value) == ("capacity", 0.3, 0.25)
    points, (other,) = outcomes.predictions([verdict(0.1, "slot time"), made], [version(7, 6)], nothing)
    assert points == []
    assert other == ("v7", "slot time was measured, the balanced objective was expected")
    older = decision(config_version=7, predicted=-1.8, candidates=(Candidate(AFTER, -1.8, -2.0, -1.0),))
    points, (other,) = outcomes.predictions([older], [version(7, 6)], lambda *_: (Estimate(0, 0, 0), 9))
    assert "the balanced objective was expected" in other.why
    points, (other,) = outcomes.predictions([made], [version(7, 6)], nothing)
    assert (points, other) == ([], ("v7", "another load"))


def nothing(*_: object) -> str:
    return "another load"


def test_what_a_person_expected_is_latency_and_what_nobody_expected_is_no_point() -> None:
    inputs = {"latency_change": -0.1, "low": -0.2, "high": 0.05, "p99_change": -0.3}
    reason = Reason("max_concurrent", 8, "ann: more room", inputs, 900)
    made = decision(policy="person", reasons=(reason,), predicted=math.inf, config_version=2)
    assert outcomes.expectation(made) == Estimate(-0.1, -0.2, 0.05)
    assert outcomes.expectation(decision(predicted=math.inf)) is None
    assert outcomes.predictions([decision(config_version=2)], [version(2)], nothing) == ([], [])


def test_a_decision_is_sentences_in_sentences() -> None:
    made = decision(
        config_version=7, predicted=math.log(0.8), bound="limits up to 12: 1.5 times what was seen",
        reasons=(
            Reason(
                "max_concurrent", 8, "least objective",
                {"latency_change": math.log(0.8), "low": math.log(0.7), "high": math.log(0.9)}, 400,
            ),
        ),
    )  # fmt: skip
    confirmed = decision(decision_id="d2", verdict_on="d1", summary="Confirmed: as expected.")
    sentences = " ".join(outcomes.explanation(made, confirmed))
    for part in (
        "The policy “model” put a change on trial for all query types, on 400 recalls.",
        "Expected of typical latency: −20 % (−30 to −10)", "limits up to 12",
        "In force as version 7.", "Verdict: Confirmed",
    ):  # fmt: skip
        assert part in sentences
    assert "Not applied" in " ".join(outcomes.explanation(decision(action=Action.CHANGE)))
    assert "Not applied" not in " ".join(outcomes.explanation(decision(action=Action.KEEP)))


def test_the_trail_holds_configs_and_all_else_in_the_order_of_time() -> None:
    versions = [
        version(3, 2, scope="meta", restores=0),
        version(2, 0, scope="meta"),
        version(1, restores=1),
    ]
    sentences = outcomes.trail(versions, [Annotation(2.5, "load started", "ben")])
    assert [(who, what) for _, who, what, _ in sentences] == [
        ("ann", "exception for meta ended, version 3"),
        ("ben", "load started"),
        ("ann", "config version 2 for meta"),
        ("ann", "config version 1, back to version 1"),
    ]
