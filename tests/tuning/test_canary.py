from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.model import (
    Action,
    ConfigSet,
    Decision,
    LayerTask,
    QueryMetrics,
    TuningBounds,
    TuningConfig,
    TuningStrategy,
)
from athena_tuning.tuning.estimation.telemetry import Telemetry
from athena_tuning.tuning.evidence import Evidence
from athena_tuning.tuning.policies.canary import Canary, Judgement, Rates, Trial, Verdict
from athena_tuning.tuning.policies.paired_comparison import PairedComparison, judge, look_due
from athena_tuning.tuning.settings import CANARY
from athena_tuning.tuning.simulation.simulator import Simulation, in_force
from athena_tuning.tuning.trace import Arrival, Trace

BLOCK, FIRST_BAN, LONGEST_BAN = CANARY.block, CANARY.first_ban, CANARY.longest_ban


def blocks(*means: float) -> list[float]:
    return [mean for mean in means for _ in range(BLOCK)]


EXACT = blocks(*[0.0] * 10)
"""The simulator meets what was before without an error."""


def banned(canary: Canary, config: TuningConfig, position: int) -> Canary:
    return canary.banned(PairedComparison().key(config, "all"), position, FIRST_BAN)


def holds_back(canary: Canary, config: TuningConfig, position: int) -> bool:
    return canary.holds_back(PairedComparison().key(config, "all"), position)


def quick(at: float, ms: float) -> QueryMetrics:
    tasks = (LayerTask("semantic", 0.0, 0.0, 0.5, 1),)
    return QueryMetrics(f"{at}", "?", "meta", at, ms, None, False, 1, [], {}, True, tasks=tasks)


def rates_fell(bad_before: int, before: int, bad_since: int, since: int) -> bool:
    return Rates(before, bad_before).fell(Rates(since, bad_since))


def test_nothing_is_said_before_ten_blocks() -> None:
    judged = judge(blocks(*[2.0] * 9), 0, before=EXACT)
    assert judged.verdict is Verdict.OPEN
    assert judged.observed is None
    assert not look_due(10 * BLOCK - 1, 0)
    assert look_due(10 * BLOCK, 0)


def test_worse_in_every_block_is_bad_and_better_in_every_block_is_good() -> None:
    assert judge(blocks(*[0.1, 0.12] * 5), 0, before=EXACT).verdict is Verdict.BAD
    assert judge(blocks(*[-0.1, -0.12] * 5), 0, before=EXACT).verdict is Verdict.GOOD


def test_the_interval_is_students_over_block_means() -> None:
    judged = judge(blocks(*[0.0, 0.2] * 5), 0, before=EXACT)
    half = 2.9 * math.sqrt(10 / 9) * 0.1 / math.sqrt(10)
    assert (judged.observed, judged.high) == (pytest.approx(0.1), pytest.approx(0.1 + half))
    assert judged.verdict is Verdict.BAD


def test_what_the_simulator_missed_before_a_change_is_no_fault_of_it() -> None:
    missed = blocks(*[0.19, 0.21] * 5)
    assert judge(missed, 0, before=EXACT).verdict is Verdict.BAD
    assert judge(missed, 0, before=missed).observed == pytest.approx(0.0)
    assert judge(missed, 0, before=missed).verdict is Verdict.OPEN


def test_where_too_little_is_known_of_before_the_simulator_may_have_missed_it() -> None:
    little = blocks(*[0.039, 0.041] * 5)
    assert judge(little, 0, before=EXACT).verdict is Verdict.BAD
    assert judge(little, 0, before=EXACT[: 3 * BLOCK]).verdict is Verdict.OPEN
    assert judge(little, 0).verdict is Verdict.OPEN


def test_a_single_bad_block_is_chance() -> None:
    assert judge(blocks(3.0, *[0.0] * 9), 0, before=EXACT).verdict is Verdict.OPEN


def test_a_little_worse_for_sure_is_tolerated() -> None:
    assert judge(blocks(*[0.019, 0.021] * 5), 0, before=EXACT).verdict is Verdict.OPEN
    assert judge(blocks(*[0.059, 0.061] * 5), 0, tolerated=0.08, before=EXACT).verdict is Verdict.OPEN
    assert judge(blocks(*[0.059, 0.061] * 5), 0, before=EXACT).verdict is Verdict.BAD


def test_what_four_looks_did_not_find_bad_is_good() -> None:
    undecided = blocks(*[-0.5, 0.5] * 20)
    assert judge(undecided, 2, before=EXACT).verdict is Verdict.OPEN
    assert judge(undecided, 3, before=EXACT).verdict is Verdict.GOOD
    assert not look_due(10_000, 4)


@pytest.mark.slow
@given(st.lists(st.floats(-3, 3), min_size=250, max_size=1200), st.integers(0, 3))
def test_a_verdict_follows_from_its_interval(ratios: list[float], looks: int) -> None:
    judged = judge(ratios, looks)
    if judged.verdict is Verdict.BAD:
        assert judged.low > 0
    if judged.verdict is Verdict.GOOD and looks < 3:
        assert judged.high < 0


def test_failures_count_beyond_what_is_allowed_and_chance() -> None:
    assert rates_fell(0, 500, 20, 100)
    assert not rates_fell(0, 500, 1, 100)
    assert not rates_fell(50, 500, 12, 100)
    assert not rates_fell(0, 500, 19, 19)


def test_bans_double_up_to_a_longest_one() -> None:
    canary, config, lengths = Canary(), TuningConfig(max_concurrent=9), []
    for _ in range(9):
        canary = banned(canary, config, 0)
        lengths.append(next(iter(canary.bans.values())).until)
    assert lengths[:3] == [FIRST_BAN, 2 * FIRST_BAN, 4 * FIRST_BAN]
    assert lengths[-1] == LONGEST_BAN


def test_a_ban_ends_and_is_for_one_limit_and_way_only() -> None:
    config = TuningConfig(max_concurrent=9)
    canary = banned(Canary(), config, 100)
    assert holds_back(canary, config, 100 + FIRST_BAN - 1)
    assert not holds_back(canary, config, 100 + FIRST_BAN)
    assert holds_back(canary, TuningConfig(max_concurrent=9, timeout_seconds=20), 100)
    assert not holds_back(canary, TuningConfig(max_concurrent=8), 100)
    assert not holds_back(canary, TuningConfig(max_concurrent=9, enable_parallel=False), 100)


def test_nothing_is_confirmed_within_two_seconds_and_later_on_what_had_passed_before() -> None:
    rate, began = 500.0, 100.0
    configs = ConfigSet()
    before = configs.default.config
    made = Decision(
        "d", began, "model", "all", Action.CANARY, before, replace(before, max_concurrent=8), "", 0
    )
    telemetry = Telemetry()
    for tick in range(1000):
        at = began - 40 + tick * 0.05
        ms = 20.0 if at < began else 10.0
        telemetry = telemetry.after(quick(at + i / rate, ms) for i in range(int(rate * 0.05)))
        if tick == 818:
            soon = telemetry
    judge, trial = PairedComparison(), Trial(made, "paired comparison", began, 0, Rates(), since=0.0)

    def judged(seen: Telemetry, now: float, trial: Trial) -> tuple[Judgement, Trial]:
        evidence = Evidence(configs, TuningStrategy.LATENCY, TuningBounds(), 10, 100, now, telemetry=seen)
        return judge.judge(evidence, trial)

    early, looked = judged(soon, began + 0.9, trial)
    assert (early.verdict, looked.looks) == (Verdict.OPEN, 1)
    late, _ = judged(telemetry, began + 10.0, looked)
    assert late.verdict is Verdict.GOOD
    assert late.observed == pytest.approx(math.log(0.5), abs=0.05)  # the newest 4,000 alone know no before
    assert late.high - late.low < 0.05


def judged_after_a_change(before: int, after: int, rate_before: float, rate_since: float) -> Judgement:
    """The first verdict on a change of the limit, at 600 recalls of 100 ms, as a manager records them."""
    apart = [1 / rate_before] * 600 + [1 / rate_since] * 600
    times = np.cumsum(apart).tolist()
    trace = Trace(tuple(Arrival(at, "meta", (("semantic", 0.1),)) for at in times))
    simulation = Simulation(trace, TuningConfig(before), admission=True)
    changed = times[599]
    simulation.run(changed).apply(in_force(TuningConfig(after)))
    simulation.run()
    records = [simulation.record(i, 1000.0) for i in simulation.finished]
    made = Decision(
        "d", 1000.0, "model", "all", Action.CANARY, TuningConfig(before), TuningConfig(after), "", 0
    )
    telemetry = Telemetry().after(records[:600])
    trial = Trial(made, "paired comparison", 1000.0 + changed, 600, Rates.of(telemetry.recalls))
    for i in range(600, 1200, 50):
        telemetry = telemetry.after(records[i : i + 50])
        evidence = Evidence(
            in_force(TuningConfig(after)), TuningStrategy.LATENCY, TuningBounds(), 10, 100, 1e4,
            telemetry=telemetry,
        )  # fmt: skip
        judgement, trial = PairedComparison().judge(evidence, trial)
        if judgement.verdict is not Verdict.OPEN:
            return judgement
    return judgement


def test_a_change_under_which_recalls_are_refused_that_would_have_been_served_is_taken_back_at_once() -> None:
    judgement = judged_after_a_change(3, 1, 15.0, 15.0)
    assert judgement.verdict is Verdict.BAD
    assert judgement.alarm
    assert "refused" in judgement.why


def test_a_rush_that_would_have_had_as_many_refused_is_no_fault_of_the_change() -> None:
    assert judged_after_a_change(3, 4, 15.0, 60.0).verdict is not Verdict.BAD


@pytest.mark.parametrize(
    ("limit", "to", "held"),
    [
        (8, 6, True),
        (8, 4, True),  # six got less done than eight: four do not get more
        (8, 7, False),
        (5, 4, False),
        (5, 6, True),
        (5, 13, True),
        (8, 13, False),
    ],
)
def test_a_step_leads_to_no_limit_that_lies_beyond_a_banned_one(limit: int, to: int, held: bool) -> None:
    judge = PairedComparison()
    canary = Canary().banned(judge.key(TuningConfig(6), "all"), 100, CANARY.first_ban)
    assert judge.leads_past_a_ban(canary, TuningConfig(to), limit, 200) is held
    assert not judge.leads_past_a_ban(canary, TuningConfig(to), limit, 100 + CANARY.first_ban)


def test_a_ban_outlives_the_longest_trial_of_what_took_its_place() -> None:
    assert CANARY.first_ban > CANARY.looks[-1] * CANARY.block
