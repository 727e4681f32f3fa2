"""What is remembered of measured recalls: the newest of them, and what each layer's tasks met."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

import numpy as np

from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome
from athena_tuning.tuning.estimation.concurrency_levels import Levels, time_beside
from athena_tuning.tuning.estimation.contention import Contention, ContentionLaw, PossibleLaw
from athena_tuning.tuning.estimation.fleet_concurrency import running_at_start
from athena_tuning.tuning.estimation.measured_recall import MeasuredRecall, measured
from athena_tuning.tuning.estimation.stretches import Stretches
from athena_tuning.tuning.settings import TELEMETRY
from athena_tuning.tuning.trace import Arrival, Trace

__all__ = ["MeasuredRecall", "Telemetry", "measured", "trace_of"]


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The newest recalls that asked layers or were refused, and what is known of contention. A value.

    Recalls that the cache answered are not in it: they say nothing about layers, and a load of nothing else
    must not push out those that do.

    Attributes:
        recalls: in the order in which they were read, up to 4,000 of them and, with the stretches, 10,000
            tasks.
        position: of such recalls, ever.
        contention: learned from the tasks of all but the newest.
        learned: recalls that it was learned from.
        tasks: of ``recalls``.
        stretches: of the last hours, for what must not be judged by seconds.
        together: whether the limit is one for all managers, so that tasks in flight are counted over all of
            them; else as each manager counted its own.
    """

    recalls: tuple[MeasuredRecall, ...] = ()
    position: int = 0
    contention: Contention = field(default_factory=Contention)
    learned: int = 0
    tasks: int = 0
    stretches: Stretches = field(default_factory=Stretches)
    together: bool = False

    def after(self, records: Iterable[QueryMetrics], *, missed: bool = False) -> Telemetry:
        """Return the telemetry after more recalls, in the order in which they ended.

        Args:
            records: recalls.
            missed: whether there were others before them that were not read.
        """
        read = [recall for recall in map(measured, records) if recall is not None]
        came = [recall for recall in read if recall.tasks or recall.refused]
        if not came:
            return self
        now = max(recall.ended for recall in came)
        stretches = self.stretches.without_gathered(now) if missed else self.stretches.after(came, now)
        recalls = (*self.recalls, *came)
        tasks = self.tasks + sum(len(recall.tasks) for recall in came)
        first, most = 0, TELEMETRY.tasks - stretches.tasks
        while len(recalls) - first > TELEMETRY.recalls or tasks > most:
            tasks -= len(recalls[first].tasks)
            first += 1
        position = self.position + len(came)
        return _learned(
            replace(self, recalls=recalls[first:], position=position, tasks=tasks, stretches=stretches)
        )

    def counted(self, *, together: bool) -> Telemetry:
        """Return the telemetry with tasks in flight counted over all managers, or for each by itself.

        What was learned the other way is forgotten, and learned anew from the recalls that are kept.
        """
        if together is self.together:
            return self
        learned = self.position - len(self.recalls)
        return _learned(replace(self, together=together, contention=Contention(), learned=learned))

    def newest(self, count: int) -> list[MeasuredRecall]:
        """Return up to ``count`` of the newest recalls, oldest first."""
        return list(self.recalls[-count:]) if count > 0 else []

    def lately(self, count: int, seconds: float) -> list[MeasuredRecall]:
        """Return the newest ``count`` recalls, or all that ended within the last seconds if they are more."""
        from_time = self.recalls[-1].ended - seconds if self.recalls else 0.0
        more = takewhile(lambda recall: recall.ended >= from_time, reversed(self.recalls))
        return self.newest(max(count, sum(1 for _ in more)))

    def spread(self, count: int) -> list[list[MeasuredRecall]]:
        """Return about ``count`` recalls that speak for more than seconds, in pieces, oldest first.

        The newest in one piece where they span five minutes. Else fewer of the newest, and before them
        stretches of the last hours, as evenly apart as they are there. No piece is to be joined to another:
        what was between them is not known.
        """
        newest = self.newest(count)
        pieces = count // TELEMETRY.stretch
        if pieces < 2 or not newest or newest[-1].ended - newest[0].began >= TELEMETRY.enough_s:
            return [newest]
        newest = newest[-TELEMETRY.stretch :]
        older = self.stretches.before(min(recall.began for recall in newest))
        if not older:
            return [self.newest(count)]
        chosen = np.linspace(0, len(older) - 1, min(pieces - 1, len(older))).round().astype(int)
        return [*(list(older[i]) for i in chosen), newest]

    @property
    def per_second(self) -> float:
        """Recalls a second of late: of those that are kept."""
        if len(self.recalls) < 2:
            return 0.0
        passed = self.recalls[-1].ended - self.recalls[0].ended
        return (len(self.recalls) - 1) / max(passed, 1e-3)

    def since(self, time: float) -> list[MeasuredRecall]:
        """Return the recalls that began at ``time`` or later, in the order in which they ended."""
        recalls = []
        for recall in reversed(self.recalls):
            if recall.ended < time:
                break
            if recall.began >= time:
                recalls.append(recall)
        return recalls[::-1]

    @property
    def laws(self) -> Mapping[str, ContentionLaw]:
        """The fitted laws by layer."""
        return self.contention.laws


def trace_of(
    recalls: Iterable[MeasuredRecall], laws: Mapping[str, ContentionLaw] | Mapping[str, PossibleLaw]
) -> Trace:
    """Return recalls as a trace: arrivals as they were, works freed from contention.

    A task's own work is what it got done: the time beside each number of others, divided by the law there.
    A recall that was refused would have worked as the last one of its type did that was served.
    """
    order = sorted(recalls, key=lambda recall: recall.began)
    if not order:
        return Trace(())
    begin = order[0].began
    arrivals = [
        Arrival(recall.began - begin, recall.query_type, tasks)
        for recall, tasks in zip(order, _works(order, laws), strict=True)
    ]
    return Trace(tuple(arrivals))


def _works(
    order: Sequence[MeasuredRecall], laws: Mapping[str, ContentionLaw] | Mapping[str, PossibleLaw]
) -> Iterator[tuple[tuple[str, float], ...]]:
    """Yield each recall's layers with their own works in seconds."""
    each = [(recall, task) for recall in order for task in recall.tasks]
    beside = time_beside(*_spans(each))
    numbers = range(1, beside.shape[1] + 1)
    speed = {layer: np.array([1 / law.factor(n) for n in numbers]) for layer, law in laws.items()}
    alone = np.ones(len(numbers))
    rates = np.array([speed.get(task.layer, alone) for _, task in each]).reshape(len(each), len(numbers))
    works = iter((beside * rates).sum(axis=1).tolist())
    own = [tuple((task.layer, next(works)) for task in recall.tasks) for recall in order]
    latest = {recall.query_type: own[i] for i, recall in reversed([*enumerate(order)]) if own[i]}
    for recall, tasks in zip(order, own, strict=True):
        if tasks:
            latest[recall.query_type] = tasks
        yield latest.get(recall.query_type, ()) if recall.refused else tasks


def _learned(telemetry: Telemetry) -> Telemetry:
    """Note the tasks of recalls that have settled under the number in flight that they met."""
    position, settling = telemetry.position, TELEMETRY.settling
    fresh = position - telemetry.learned - settling
    if fresh < max(settling, min(position // 32, 4 * settling)):
        return telemetry
    around = telemetry.newest(fresh + 4 * settling)
    first = position - len(around)
    places = [first + i for i, recall in enumerate(around) for _ in recall.tasks]
    tasks = [(recall, task) for recall in around for task in recall.tasks]
    beside = time_beside(*_spans(tasks))
    started = _running(tasks) if telemetry.together else [_started_with(*each) for each in tasks]
    rows: dict[str, list[int]] = {}
    for i, (_, task) in enumerate(tasks):
        settled = telemetry.learned <= places[i] < telemetry.learned + fresh
        if settled and task.outcome is TaskOutcome.OK:
            rows.setdefault(task.layer, []).append(i)
    known = telemetry.contention.levels
    levels = dict(known)
    passed = fresh / max(telemetry.per_second, 1e-9)
    for layer, which in rows.items():
        levels[layer] = levels.get(layer, Levels()).after(
            [started[i] for i in which], beside[which] * 1000, [places[i] for i in which], passed
        )
    remembered = max(TELEMETRY.remembered, telemetry.per_second * TELEMETRY.remembered_s)
    levels = {layer: met.without(position - int(remembered)) for layer, met in levels.items()}
    changed = any(met is not known.get(layer) for layer, met in levels.items())
    contention = Contention(levels) if changed else telemetry.contention
    return replace(telemetry, contention=contention, learned=telemetry.learned + fresh)


def _started_with(recall: MeasuredRecall, task: LayerTask) -> int:
    """Return the number in flight once the tasks that start together with this one have started."""
    by = task.offset_ms + task.queue_ms + TELEMETRY.together_ms
    return max(t.in_flight for t in recall.tasks if t.offset_ms + t.queue_ms <= by)


def _running(tasks: Sequence[tuple[MeasuredRecall, LayerTask]]) -> list[int]:
    """Return the number in flight over all managers as each task started."""
    start, end = map(np.array, _spans(tasks))
    return list(running_at_start(start, end, TELEMETRY.together_ms / 1000))


def _spans(tasks: Sequence[tuple[MeasuredRecall, LayerTask]]) -> tuple[list[float], list[float]]:
    start = [recall.began + (task.offset_ms + task.queue_ms) / 1000 for recall, task in tasks]
    return start, [at + task.service_ms / 1000 for at, (_, task) in zip(start, tasks, strict=True)]
