"""Judges an experiment while it runs, and ends it: one worker does, the one that leads tuning."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from athena_tuning.control import objectives, operations
from athena_tuning.control.config_follower import ConfigFollower
from athena_tuning.control.lease import TuningLease
from athena_tuning.model import (
    Action,
    ConfigVersion,
    Decision,
    Experiment,
    ExperimentReport,
    ExperimentVerdict,
    TuningConfig,
    WorkerStatus,
)
from athena_tuning.model.source import MEASURED
from athena_tuning.store import EXPERIMENTS, ConfigConflict, Store
from athena_tuning.tuning.experiments import assessment
from athena_tuning.tuning.experiments.block_pairs import BlockPairs
from athena_tuning.tuning.experiments.broken_promises import BEFORE_SECONDS, PromiseWatch, promises_for
from athena_tuning.tuning.experiments.wording import outcome_in_words

logger = logging.getLogger(__name__)

JUDGE = "tuner"
TOLD_EVERY_SECONDS = 1.0
_PAGE = 20_000
_ALIVE_SECONDS = 10.0
_CACHE_DIFFERS = 0.05
_ASKED = ("layer_selection_enabled", "skipped_layers", "extra_layers", "second_round", "question_model")
"""Fields that say which layers are asked."""


class ExperimentJudge:
    """Reads what recalls met in the blocks of an experiment, tells everybody, and ends it.

    It ends at once where a promise breaks under the config that is tried, or where somebody has put another
    config in force; as soon as an interval leaves out "no change"; and when its time is over. In force
    afterwards is what was before.

    Args:
        store: has the recalls of all workers.
        lease: says whether this worker leads.
        follower: has the configs in force.
        clock: Unix seconds.
    """

    def __init__(
        self, store: Store, lease: TuningLease, follower: ConfigFollower, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._lease = lease
        self._follower = follower
        self._clock = clock
        self._course: _Course | None = None
        self._settled = 0  # the newest version of the scope of experiments that there is nothing to do about

    def look(self) -> None:
        """Judge the experiment that runs, if this worker leads.

        Raises:
            StoreError: if the store does not answer; call again later.
        """
        configs = self._follower.configs
        newest = configs.tried
        if self._lease.held is None or newest is None or newest.version <= self._settled:
            self._course = None
            return
        course = self._course
        if course is None or course.version.version != number_of(newest):
            course = self._course = self._begin(newest)
        if course is None:
            self._settled = newest.version
            return
        course.take()
        now = self._clock()
        why = self._ended_by_others(newest)
        if not why and (broken := course.promises.broken()):
            why = f"stopped at once: {broken}"
        if not why and now - course.told_at < TOLD_EVERY_SECONDS:
            return
        report = course.report(now)
        why = why or course.is_done(report, now)
        if why and newest.experiment is not None and not self._end(newest, why):
            return  # somebody else ended it: that is seen at the next look
        report = replace(report, is_over=bool(why), ended=why)
        if why:
            self._store.append_decision(_decision(report, course.version, course.base))
        self._store.post(EXPERIMENTS, str(report.version), json.dumps(report.to_dict()))
        course.told_at = now
        if why and self._follower.configs.tried is not None:
            self._settled, self._course = self._follower.configs.tried.version, None

    def _begin(self, newest: ConfigVersion) -> _Course | None:
        """Return the course of the experiment that a version began or ended; None if it is known."""
        told = told_report(self._store, number_of(newest))
        if told is not None and told.is_over:
            return None
        past = {version.version: version for version in self._store.config_history(limit=operations.HISTORY)}
        version = newest if newest.experiment else past.get(newest.parent)
        if version is None or version.experiment is None:
            return None
        before = past.get(version.experiment.base)
        base = before.config if before else self._follower.configs.default.config
        return _Course(self._store, version, version.experiment, base)

    def _ended_by_others(self, newest: ConfigVersion) -> str:
        """Return by what others have ended the experiment, in words; "" while it runs."""
        if newest.experiment is None:
            return newest.reason
        if self._follower.configs.on_trial is not None:
            return ""
        since = [v for v in self._store.config_history(limit=50) if v.version > newest.version]
        if not since:
            return "another config came into force as it began"
        other = since[-1]
        return f"v{other.version} was written by {other.author}: {other.reason}"

    def _end(self, newest: ConfigVersion, why: str) -> bool:
        changes = operations.end_experiment(self._follower.configs, actor=JUDGE, reason=why)
        try:
            self._follower.apply(changes, under=self._lease.held)
        except ConfigConflict as conflict:
            logger.info("experiment %d was ended by somebody else: %s", newest.version, conflict)
            return False
        return True


class _Course:
    """What is known of one experiment."""

    def __init__(self, store: Store, version: ConfigVersion, plan: Experiment, base: TuningConfig) -> None:
        self.version = version
        self.plan = plan
        self.base = base
        self.told_at = -math.inf
        promised = promises_for(plan.scope, objectives.objectives(store))
        self.promises = PromiseWatch(plan, version.version, promised)
        self._store = store
        self._cursor = ""
        with_cached = base.enable_cache != version.config.enable_cache
        self._pairs = BlockPairs(plan, version.version, with_cached=with_cached)
        self._workers: Sequence[WorkerStatus] = ()

    @property
    def late_seconds(self) -> float:
        """How long after a block its recalls are waited for: half a block."""
        return self.plan.block_seconds / 2

    def take(self) -> None:
        """Count what was stored since the last time."""
        self._workers = self._store.workers()
        names = {worker.worker_id for worker in self._workers}
        since = self.plan.starts - BEFORE_SECONDS
        while True:
            tail = self._store.tail_metrics(self._cursor, since=since, limit=_PAGE, sources=MEASURED)
            self._cursor, records = tail.cursor, list(tail.records)
            self._pairs.count(records, names)
            self.promises.count(records)
            if not records:
                return

    def whole_pairs(self, now: float) -> list[assessment.Pair]:
        """Return the pairs of blocks whose recalls have arrived."""
        return self._pairs.pairs(now - self.late_seconds)

    def is_done(self, report: ExperimentReport, now: float) -> str:
        """Return why there is nothing more to learn, in words; "" while there is."""
        if report.verdict is not ExperimentVerdict.OPEN:
            return "the difference is clear"
        return "its time is over" if now >= self.plan.ends + self.late_seconds else ""

    def report(self, now: float) -> ExperimentReport:
        """Return what everybody is told while it runs."""
        pairs = self.whole_pairs(now)
        measured = assessment.measures(pairs)
        recalls = [sum(pair[side].recalls for pair in pairs) for side in (0, 1)]
        cached = [
            sum(pair[side].cached for pair in pairs) / recalls[side] if recalls[side] else math.nan
            for side in (0, 1)
        ]
        return ExperimentReport(
            self.version.version,
            now,
            False,
            assessment.verdict(measured),
            "",
            len(pairs),
            self.plan.pairs,
            (recalls[0], recalls[1]),
            (cached[0], cached[1]),
            measured,
            tuple(self._pairs.blocks(now)),
            tuple(self._notes(now, cached)),
        )

    def _notes(self, now: float, cached: Sequence[float]) -> Iterator[str]:
        for name in self._pairs.disobedient():
            who = name or "A system without a name"
            yield (
                f"{who} ran another config than that whose turn it was, and is not counted: a program before "
                "experiments does that, or one that cannot see the store"
            )
        measured = self._pairs.managers()
        for worker in self._workers:
            apart = worker.last_seen - now
            if worker.worker_id in measured and apart < -_ALIVE_SECONDS:
                yield f"{worker.worker_id} has not reported for {-apart:.0f} s: what it missed is not counted"
            elif apart > self.plan.settling_seconds:
                yield f"The clock of {worker.host} is {apart:.0f} s ahead: its blocks begin earlier"
        if left_out := self._pairs.left_out(now - self.late_seconds):
            yield f"{left_out:,} recalls are not counted: their manager has none in the other block"
        if abs(cached[1] - cached[0]) > _CACHE_DIFFERS:
            yield (
                f"The cache answered {cached[0]:.0%} under the config in force and {cached[1]:.0%} under the "
                "other: latencies are of the other recalls"
            )
        if any(getattr(self.base, name) != getattr(self.version.config, name) for name in _ASKED):
            yield "They ask different layers: how good the answers are is not part of this"


def told_report(store: Store, version: int) -> ExperimentReport | None:
    """Return what was told of an experiment last; None where nothing was, or it cannot be read.

    Raises:
        StoreError: if the store cannot be read.
    """
    text = store.posted(EXPERIMENTS).get(str(version))
    try:
        return None if text is None else ExperimentReport.from_dict(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        logger.warning("what is known of experiment %d cannot be read: %s", version, exc)
        return None


def number_of(newest: ConfigVersion) -> int:
    """Return the version that is tried, of the newest version in the scope of experiments."""
    return newest.version if newest.experiment else newest.parent


def _decision(report: ExperimentReport, version: ConfigVersion, base: TuningConfig) -> Decision:
    """Return the record of an outcome, for the history."""
    typical = report.measures[0]
    return Decision(
        f"experiment-{version.version}-{version.time:.0f}",
        report.time,
        "experiment",
        version.applies_to,
        Action.EXPERIMENT,
        base,
        version.config,
        outcome_in_words(report),
        sum(report.recalls),
        observed=typical.change if typical.pairs else None,
        measure="latency" if typical.pairs else "",
        config_version=version.version,
    )
