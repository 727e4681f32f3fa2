"""Do managers slow each other down? Told from tasks whose laws are known, or not told."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
import pytest

from athena_tuning.control.scope_watch import ceiling, finding
from athena_tuning.model import LayerTask, LimitScope, TuningConfig
from athena_tuning.tuning.estimation.fleet_concurrency import running_at_start
from athena_tuning.tuning.estimation.interference import Interference, Relation, interference
from athena_tuning.tuning.estimation.measured_recall import MeasuredRecall

MANAGERS = 3


def recalls(
    slow: Callable[[int, int], float], *, count: int = 3000, rate: float = 60.0, seed: int = 1
) -> list[MeasuredRecall]:
    """One task a recall, of three managers whose load comes and goes; ``slow(own, all)`` is its slowdown."""
    rng, now, running, made = random.Random(seed), 0.0, list[tuple[float, int]](), list[MeasuredRecall]()
    for number in range(count):
        busy = 2.0 if int(now) % 4 < 2 else 0.5
        now += rng.expovariate(rate * busy)
        manager = rng.randrange(MANAGERS)
        running = [(end, of) for end, of in running if end > now]
        own = 1 + sum(of == manager for _, of in running)
        seconds = 0.05 * slow(own, len(running) + 1) * math.exp(rng.gauss(0, 0.5))
        running.append((now + seconds, manager))
        task = LayerTask("semantic", 0.0, 0.0, 1000 * seconds, own)
        made.append(
            MeasuredRecall(
                now, now + seconds, "meta", f"{number}", False, True, False, 1000 * seconds, (task,)
            )
        )
    return sorted(made, key=lambda recall: recall.ended)


def test_tasks_that_run_as_another_starts_are_counted_over_all_managers() -> None:
    start, end = np.array([0.0, 1.0, 1.0001, 5.0]), np.array([2.0, 3.0, 1.5, 6.0])
    assert running_at_start(start, end, 0.0003).tolist() == [1, 3, 3, 1]


def test_managers_on_one_backend_are_found_to_slow_each_other_down() -> None:
    found = interference(recalls(lambda own, together: 1 + 0.15 * (together - 1)))
    assert found.relation is Relation.SHARED
    assert found.low > 0


@pytest.mark.parametrize("seed", range(1, 6))
def test_managers_with_a_backend_each_are_found_not_to_mind_each_other(seed: int) -> None:
    found = interference(recalls(lambda own, together: 1 + 0.15 * (own - 1), seed=seed))
    assert found.relation is Relation.APART, found.why
    assert found.low < 0.05


def test_nothing_is_said_of_too_few_or_where_the_others_never_differ() -> None:
    few = interference(recalls(lambda own, together: 1.0, count=200))
    assert few.relation is Relation.UNKNOWN
    assert "1000 are needed" in few.why
    alone = [
        recall._replace(tasks=(recall.tasks[0]._replace(in_flight=1),), began=10.0 * i, ended=10.0 * i + 0.05)
        for i, recall in enumerate(recalls(lambda own, together: 1.0))
    ]
    assert interference(alone).relation is Relation.UNKNOWN
    assert interference([]).relation is Relation.UNKNOWN


def test_with_several_workers_no_limit_of_each_goes_up_until_they_are_seen_not_to_mind_each_other() -> None:
    config = TuningConfig(6)
    for relation in (Relation.UNKNOWN, Relation.SHARED):
        most, why = ceiling(Interference(relation, most=30), config, 4)
        assert most == 6
        assert "4 managers are alive" in why
    most, why = ceiling(Interference(Relation.APART, most=24), config, 4)
    assert most == 9
    assert "24 tasks in flight" in why


def test_the_scope_that_the_evidence_speaks_for_is_proposed_and_no_other() -> None:
    each, together = TuningConfig(), TuningConfig(limit_scope=LimitScope.FLEET)
    assert finding(Interference(Relation.SHARED), each, 2, "", 0.0).is_proposal
    assert finding(Interference(Relation.APART), together, 2, "", 0.0).is_proposal
    for found, config in ((Relation.SHARED, together), (Relation.APART, each), (Relation.UNKNOWN, each)):
        assert not finding(Interference(found), config, 2, "", 0.0).is_proposal
