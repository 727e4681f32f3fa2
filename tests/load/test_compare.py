"""Runs are told apart when they differ, and only then; too little is called inconclusive."""

from __future__ import annotations

import numpy as np
import pytest

from athena_tuning.load.blocks import RecallOutcome, Tally
from athena_tuning.load.compare import Verdict, compare
from athena_tuning.load.spec import LoadSpec
from athena_tuning.load.summary import LoadSummary, summarize

TYPES = ("factual", "temporal", "planning")


def run(
    seed,
    n=3000,
    scale=1.0,
    seconds=60.0,
    mix=(1, 1, 1),
    drift=0.0,
    error=0.0,
    hit=None,
    state="finished",
    quick_hits=False,
) -> LoadSummary:
    rng = np.random.default_rng(seed)
    tally = Tally()
    due = np.sort(rng.uniform(0, seconds, n))
    slow = np.cumsum(rng.normal(0, 1, int(seconds) + 1))
    slow = drift * (slow - slow.mean()) / slow.std()
    kinds = rng.choice(3, n, p=np.array(mix) / sum(mix))
    latency = scale * 10 * (1 + kinds) * np.exp(rng.normal(0, 0.5, n) + slow[due.astype(int)])
    luck = rng.random(n)
    for at, kind, ms, lucky in zip(due, kinds, latency, luck, strict=True):
        failed = "Boom" if lucky < error else ""
        known = None if hit is None else bool(lucky > 1 - hit)
        took = 0.05 if quick_hits and known else float(ms)
        tally.record(RecallOutcome(TYPES[kind], float(at), took, took, failed, False, known, 1))
    return summarize(f"run{seed}", LoadSpec(rate_per_s=max(n, 1) / seconds), state, 0.0, seconds, n, tally)


def test_a_run_against_itself_is_alike():
    same = run(1, n=15_000)
    typical = compare(same, same).of("typical latency")
    assert typical.change == pytest.approx(0)
    assert typical.verdict is Verdict.ALIKE


@pytest.mark.parametrize("drift", [0.0, 0.3])
def test_runs_that_differ_by_luck_alone_are_seldom_told_apart(drift):
    wrong = [
        compare(run(2 * seed, 1000, drift=drift), run(2 * seed + 1, 1000, drift=drift))
        .of("typical latency")
        .verdict
        in (Verdict.BETTER, Verdict.WORSE)
        for seed in range(25)
    ]
    assert sum(wrong) <= (4 if drift == 0 else 8)


def test_a_fifth_more_latency_is_worse_and_the_interval_holds_it():
    for measure in ("typical latency", "p50"):
        difference = compare(run(1), run(2, scale=1.2)).of(measure)
        assert difference.verdict is Verdict.WORSE
        assert difference.low < 0.2 < difference.high
        assert compare(run(2, scale=1.2), run(1)).of(measure).verdict is Verdict.BETTER


def test_another_mix_of_types_does_not_look_like_another_latency():
    comparison = compare(run(1, mix=(8, 1, 1)), run(2, mix=(1, 1, 8)))
    assert comparison.of("p50").verdict is Verdict.WORSE
    assert comparison.of("typical latency").verdict in (Verdict.INCONCLUSIVE, Verdict.ALIKE)


def test_few_recalls_are_inconclusive_and_say_why():
    comparison = compare(run(1, n=120), run(2, n=120, scale=3))
    assert comparison.of("p99").verdict is Verdict.INCONCLUSIVE
    assert comparison.of("p99").why == "fewer than 500 recalls in a run"
    assert comparison.of("p50").verdict is Verdict.WORSE
    for difference in compare(run(1, n=8), run(2, n=8, scale=9)).differences:
        assert difference.verdict is Verdict.INCONCLUSIVE
        assert difference.why


def test_a_run_of_a_moment_is_too_short():
    assert compare(run(1, seconds=2), run(2, seconds=2)).of("p50").why == "a run is too short"


def test_errors_and_cache_hits_are_compared_as_shares():
    comparison = compare(run(1, error=0.01, hit=0.2), run(2, error=0.2, hit=0.6))
    assert comparison.of("errors").verdict is Verdict.WORSE
    assert comparison.of("cache hits").verdict is Verdict.BETTER
    assert comparison.of("cache hits").change == pytest.approx(0.4, abs=0.05)
    assert comparison.of("partial").verdict is Verdict.ALIKE


def test_latencies_are_of_recalls_that_the_cache_did_not_answer_and_its_warmth_is_said_first():
    cold, warm = run(1, hit=0.1), run(2, hit=0.6, quick_hits=True, state="stopped")
    comparison = compare(cold, warm)
    assert comparison.notes[0].startswith("the cache answered ")
    assert "latencies are of the recalls that it did not answer" in comparison.notes[0]
    typical = comparison.of("typical latency")
    assert typical.low < 0 < typical.high
    assert abs(typical.change) < 0.1
    assert comparison.of("p50").after > 5


def test_runs_of_an_older_program_are_compared_as_a_whole_and_that_is_said():
    def older(seed, hit):
        values = run(seed, hit=hit, quick_hits=True).to_dict()
        for block in values["blocks"]:
            del block["missed"]
        return LoadSummary.from_dict(values)

    comparison = compare(older(1, 0.1), older(2, 0.6))
    assert "a warmer cache looks like a faster run" in comparison.notes[0]
    assert comparison.of("typical latency").verdict is Verdict.BETTER


def test_what_is_unknown_stays_unknown():
    hits = compare(run(1), run(2)).of("cache hits")
    assert hits.verdict is Verdict.INCONCLUSIVE
    assert hits.why == "it is unknown in a run"


def test_an_empty_run_compares_as_inconclusive():
    comparison = compare(run(1, n=0), run(2))
    assert {difference.verdict for difference in comparison.differences} == {Verdict.INCONCLUSIVE}


def test_throughput_is_better_when_there_is_more_of_it():
    assert compare(run(1, n=3000), run(2, n=6000)).of("throughput").verdict is Verdict.BETTER


def test_notes_name_what_makes_runs_hard_to_compare():
    notes = " ".join(compare(run(1), run(2, n=600, state="stopped")).notes)
    assert "another rate_per_s" in notes
    assert "run2 is stopped" in notes
