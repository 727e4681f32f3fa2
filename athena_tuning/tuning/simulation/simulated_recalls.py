"""What has become of a trace's recalls in virtual time: columns, a result, records as of a manager."""

from __future__ import annotations

import math
from array import array

import numpy as np
import numpy.typing as npt

from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome, TuningConfig
from athena_tuning.tuning.simulation.simulated_run import SimulatedRun
from athena_tuning.tuning.trace import Trace

_OUTCOMES = (TaskOutcome.OK, TaskOutcome.TIMEOUT)


class SimulatedRecalls:
    """What is known so far of the recalls and tasks of a trace that a simulation runs.

    The simulation is a kind of this and fills the columns in itself: a call for each entry would be slow.
    Times are seconds from the trace's start, NaN for what has not happened yet.

    Args:
        trace: what is run.
    """

    __slots__ = (
        "_begun",
        "_config",
        "_ended",
        "_first",
        "_hit",
        "_layer",
        "_layers",
        "_lost",
        "_over",
        "_queued",
        "_queued_up",
        "_refused",
        "_seen",
        "_skipped",
        "_started",
        "_timed_out",
        "_version",
        "finished",
        "trace",
    )

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.finished: list[int] = []  # recalls in the order in which they ended
        columns = trace.columns
        self._layers, self._layer, self._first = columns.layers, columns.layer, columns.first
        n, m = len(trace), len(columns.work)
        self._begun = array("d", bytes(8 * n))
        self._ended = array("d", [math.nan]) * n
        self._lost = array("l", bytes(8 * n))
        self._hit = bytearray(n)
        self._refused = bytearray(n)
        self._version = [0] * n
        self._config = [TuningConfig()] * n  # in force as the recall began
        self._queued = [math.nan] * m
        self._started = array("d", [math.nan]) * m
        self._over = array("d", [math.nan]) * m
        self._seen = [0] * m
        self._timed_out = bytearray(m)
        self._skipped = bytearray(m)
        self._queued_up = False

    @property
    def over(self) -> bool:
        """Whether every recall has ended."""
        return len(self.finished) == len(self.trace)

    def slower(self, than_ms: float, seen: int, first: int) -> int:
        """Return how many answers took longer, cache hits left out.

        Args:
            than_ms: than this.
            seen: answers that were looked at before.
            first: leave out the recalls before this one.
        """
        begun, ended, than = self._begun, self._ended, than_ms / 1000
        return sum(
            recall >= first
            and ended[recall] - begun[recall] > than
            and not (self._refused[recall] or self._hit[recall])
            for recall in self.finished[seen:]
        )

    @property
    def ample(self) -> int | None:
        """The least limit under which all would have been the same; None if a task had to wait for a slot."""
        return None if self._queued_up else max(self._seen, default=0)

    def result(self) -> SimulatedRun:
        """Return what has happened so far."""
        begun, ended = np.array(self._begun), np.array(self._ended)
        refused = np.frombuffer(bytes(self._refused), np.uint8).astype(bool)
        lost = np.array(self._lost)
        tasks = self.trace.columns.tasks
        held = np.nan_to_num(np.array(self._over) - np.array(self._started)) * 1000
        asked = ~np.isnan(np.array(self._queued))
        return SimulatedRun(
            np.where(refused, np.inf, (ended - begun) * 1000),
            ended,
            lost > 0,
            ((lost > 0) & (lost >= tasks)) | refused,
            refused,
            np.frombuffer(bytes(self._hit), np.uint8).astype(bool),
            np.bincount(self._held_for, held, len(begun)).astype(np.float64),
            np.bincount(self.trace.columns.recalls, asked[: len(self.trace.columns.work)], len(begun)).astype(
                np.float64
            ),
            np.bincount(self._held_for[len(self.trace.columns.recalls) :], minlength=len(begun)),
        )

    @property
    def _held_for(self) -> npt.NDArray[np.intp]:
        """The recall of every call: of its tasks, and then of those that were made a second time."""
        return self.trace.columns.recalls

    def record(self, recall: int, epoch: float = 0.0) -> QueryMetrics:
        """Return a finished recall as a manager would record it.

        Args:
            recall: its place in the trace.
            epoch: Unix seconds of the trace's start.
        """
        arrival = self.trace.arrivals[recall]
        begun = self._begun[recall]
        tasks = tuple(
            self._task(t, begun)
            for t in range(self._first[recall], self._first[recall + 1])
            if self._queued[t] == self._queued[t] and not self._skipped[t]
        )
        lost, hit, refused = self._lost[recall], bool(self._hit[recall]), bool(self._refused[recall])
        config = self._config[recall]
        calls = (*tasks, *self._second_tasks(recall, begun))
        return QueryMetrics(
            f"s{recall}",
            arrival.text or f"question {recall}",
            arrival.query_type,
            epoch + begun,
            None if refused else (self._ended[recall] - begun) * 1000,
            None,
            None if refused else hit,
            len(tasks) - lost,
            [t.layer for t in calls],
            {t.layer: t.service_ms for t in calls},
            hit or (lost < len(tasks) and not refused),
            "refused: overloaded" if refused else None,
            parallel_execution=config.enable_parallel and len(tasks) > 1,
            concurrency_level=len(tasks) if config.enable_parallel else 1,
            tasks=calls,
            partial=lost > 0 or refused,
            config_version=self._version[recall],
            source="simulated",
        )

    def _second_tasks(self, recall: int, begun: float) -> tuple[LayerTask, ...]:
        return ()

    def _task(self, t: int, begun: float) -> LayerTask:
        started = self._started[t] if self._started[t] == self._started[t] else self._over[t]
        return LayerTask(
            self._layers[self._layer[t]],
            (self._queued[t] - begun) * 1000,
            (started - self._queued[t]) * 1000,
            (self._over[t] - started) * 1000,
            self._seen[t],
            _OUTCOMES[self._timed_out[t]],
            0 if self._timed_out[t] else 1,
        )
