"""What the tuner learns from speaks for minutes to hours, at any load, in bounded memory."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise

import pytest

from athena_tuning.model import LayerTask, QueryMetrics, TuningConfig
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.tuning.estimation.measured_recall import MeasuredRecall, measured
from athena_tuning.tuning.estimation.stretches import Stretches
from athena_tuning.tuning.estimation.telemetry import Telemetry, trace_of
from athena_tuning.tuning.observer import Observer
from athena_tuning.tuning.settings import TELEMETRY
from athena_tuning.tuning.simulation.search import Simulations
from athena_tuning.tuning.simulation.simulator import Simulation
from athena_tuning.tuning.slices import run_through

BEGAN = 1_750_000_000.0
SEARCHED = 1000


def record(at: float, worker: str = "w", ms: float = 4.0) -> QueryMetrics:
    tasks = tuple(LayerTask(layer, 0.1, 0.0, ms, 2) for layer in ("semantic", "graph"))
    return QueryMetrics(
        f"{worker}-{at:.6f}", worker, "meta", at, ms + 0.2, None, False, 1, [], {}, True, tasks=tasks
    )


def at_rate(per_second: float, seconds: float, every: float) -> Iterator[list[QueryMetrics]]:
    """Yield what comes in each of so many seconds."""
    batch = round(per_second * every)
    for tick in range(round(seconds / every)):
        yield [record(BEGAN + tick * every + i / per_second) for i in range(batch)]


def span(recalls: list[MeasuredRecall]) -> float:
    return recalls[-1].began - recalls[0].began


def is_whole(recalls: list[MeasuredRecall] | tuple[MeasuredRecall, ...], per_second: float) -> bool:
    gaps = [b.began - a.began for a, b in pairwise(recalls)]
    return all(abs(gap * per_second - 1) < 0.01 for gap in gaps)


def test_at_4000_a_second_a_search_rests_on_minutes_and_the_newest_alone_on_a_quarter_of_a_second() -> None:
    telemetry = Telemetry()
    for batch in at_rate(4000, 75, 0.25):
        telemetry = telemetry.after(batch)
    newest = telemetry.newest(SEARCHED)
    pieces = telemetry.spread(SEARCHED)
    assert span(newest) < 0.26
    assert len(pieces) == SEARCHED // TELEMETRY.stretch
    assert sum(map(len, pieces)) == SEARCHED
    assert pieces[-1][-1].began - pieces[0][0].began > 65
    assert all(is_whole(piece, 4000) for piece in pieces)
    assert len(telemetry.stretches.whole) == TELEMETRY.stretches


def test_at_one_recall_in_20_seconds_a_search_rests_on_hours_in_one_piece() -> None:
    telemetry = Telemetry()
    for batch in at_rate(0.05, 20_000, 200):
        telemetry = telemetry.after(batch)
    [piece] = telemetry.spread(SEARCHED)
    assert len(piece) == SEARCHED
    assert span(piece) == pytest.approx(999 * 20)
    first = telemetry.spread(300)
    assert [len(one) for one in first] == [300]
    assert span(first[0]) > 3600


def test_what_is_kept_takes_as_many_bytes_after_a_long_time_as_after_a_short_one() -> None:
    telemetry, held = Telemetry(), []
    tracemalloc.start()
    try:
        for tick, batch in enumerate(at_rate(400, 100, 1.0)):
            telemetry = telemetry.after(batch)
            if tick in {69, 99}:
                del batch
                held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert held[1] < 1.1 * held[0]
    assert held[1] < 12_000_000
    assert telemetry.tasks + telemetry.stretches.tasks <= TELEMETRY.tasks


def test_recalls_of_another_worker_that_come_later_are_in_the_stretch() -> None:
    telemetry, late = Telemetry(), [[], []]
    for tick in range(40):
        at = [BEGAN + tick + i / 100 for i in range(100)]
        late.append([record(t + 0.005, "other") for t in at])
        telemetry = telemetry.after([*(record(t, "leader") for t in at), *late[tick]])
    whole = telemetry.stretches.whole
    assert len(whole) > 3
    for stretch in whole[1:]:  # as the first began, there was one worker
        assert is_whole(stretch, 200)
        assert sum(recall.text == "other" for recall in stretch) == TELEMETRY.stretch // 2


def test_a_stretch_of_which_recalls_were_not_read_is_none() -> None:
    profiler = PerformanceProfiler(clock=lambda: BEGAN + 600)
    observer = Observer(profiler)
    batches = at_rate(90, 8 * 70, 1.0)
    for looks in range(5, 13):
        for tick in range(70):
            for one in next(batches):
                profiler.record_query(one)
            if tick < looks:  # else more than 4,000 wait, and the older ones are passed over
                observer.observe()
    whole = observer.telemetry.stretches.whole
    assert whole
    assert all(is_whole(stretch, 90) for stretch in whole)


def test_stretches_reach_six_hours_back_their_ages_a_few_times_apart() -> None:
    stretches = Stretches()
    for minute in range(0, 9 * 60):
        began = BEGAN + 60 * minute
        came = [m for m in (measured(record(began + i / 100)) for i in range(TELEMETRY.stretch)) if m]
        stretches = stretches.after(came, began + 59)
    newest = stretches.whole[-1][0].began
    ages = [newest - stretch[0].began for stretch in stretches.whole[:-1]]
    assert len(ages) == TELEMETRY.stretches - 1
    assert 4 * 3600 < ages[0] <= 6 * 3600
    assert ages[-1] < 300
    assert all(older / younger < 5 for older, younger in pairwise(ages))


def test_a_piece_is_simulated_by_itself_and_time_between_pieces_is_no_time_to_rest() -> None:
    rng, at, recalls = random.Random(3), BEGAN, []
    for _ in range(400):
        at += rng.expovariate(95)
        recalls.append(measured(record(at, ms=20.0)))
    known = [recall for recall in recalls if recall is not None]
    traces = [trace_of(known[:200], {}), trace_of(known[200:], {})]
    config = TuningConfig(max_concurrent=4)  # 95 % busy
    score = run_through(Simulations(traces, {}).of(config))
    alone = [Simulation(trace, config, admission=True).run().result().latency_ms[40:] for trace in traces]
    everything = sorted(ms for each in alone for ms in each)
    assert score.p99_ms == everything[int(0.99 * len(everything))]
    assert score.p99_ms > 60  # queues were met
    assert score.per_second == pytest.approx(100)


def test_the_present_load_is_that_of_seconds_where_many_come_and_of_the_newest_where_few_do() -> None:
    busy, calm = Telemetry(), Telemetry()
    for batch in at_rate(300, 12, 1.0):
        busy = busy.after(batch)
    for batch in at_rate(0.05, 20_000, 200):
        calm = calm.after(batch)
    assert span(busy.newest(250)) < 1
    assert span(busy.lately(250, 10.0)) == pytest.approx(10.0, abs=0.1)
    assert calm.lately(250, 10.0) == calm.newest(250)
    assert Telemetry().lately(250, 10.0) == []
