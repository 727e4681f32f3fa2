"""A what-if in a process of its own: simulating is all arithmetic, and a page must not wait for it.

Parent and child talk in pickles over the child's standard input and output: a question goes in, shares that
are done come out, and at last the answer. When the parent is gone, the child's next word ends it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np

from athena_tuning.load.run_handle import RunHandle, State
from athena_tuning.model import ConfigSet, QueryMetrics, TuningConfig, TuningStrategy
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.recall.routing.route import route
from athena_tuning.samples import sample_workloads
from athena_tuning.store.text_policy import is_known
from athena_tuning.tuning import AutoTuner
from athena_tuning.tuning.estimation.plan_evidence import PlanEvidence
from athena_tuning.tuning.settings import SEARCH
from athena_tuning.tuning.simulation.planned_recalls import Way
from athena_tuning.tuning.simulation.what_if import WhatIf, what_if, with_config
from athena_tuning.tuning.slices import run_through

log = logging.getLogger(__name__)

MOST_RECALLS = 1500
OVER = ("limit", "timeout", "strategy", "switches", "plans")
"""What can be swept: each is a set of cases that differ from what is in force in one thing."""


@dataclass(frozen=True, slots=True)
class Question:
    """What to simulate.

    Attributes:
        configs: in force: what all cases are compared with.
        records: recalls, oldest first; the newest ``MOST_RECALLS`` are simulated.
        sample: a sample workload in their place; "" for none.
        over: what to sweep, one of ``OVER``; "" for ``cases`` alone.
        cases: further configs, by name.
        scope: "all", or the query type whose config changes and whose recalls are counted.
        speed: run the arrivals so many times as fast, 0.1 to 100.
        evidence: what layers are worth, for plans.

    Raises:
        ValueError: if ``over`` is unknown or the speed out of range.
    """

    configs: ConfigSet
    records: Sequence[QueryMetrics] = ()
    sample: str = ""
    over: str = ""
    cases: Mapping[str, ConfigSet] = field(default_factory=dict)
    scope: str = "all"
    speed: float = 1.0
    evidence: PlanEvidence = field(default_factory=PlanEvidence)

    def __post_init__(self) -> None:
        if self.over and self.over not in OVER:
            raise ValueError(f"over must be one of {', '.join(OVER)}, not {self.over!r}")
        if not 0.1 <= self.speed <= 100:
            raise ValueError(f"speed must be 0.1 to 100, not {self.speed}")


def answer(question: Question, progress: Callable[[float], object] | None = None) -> WhatIf:
    """Return what a question comes to, computed here and now (about 1 s).

    Raises:
        ValueError: if there is no such sample, or too few recalls say what their layers did.
    """
    records = sample_workloads.load_records(question.sample) if question.sample else list(question.records)
    records = records[-MOST_RECALLS:]
    cases = {**sweep(question, records), **question.cases}
    steps = what_if(
        *(records, question.configs, cases),
        scope=question.scope,
        speed=question.speed,
        evidence=question.evidence,
        way_of=_way_of,
    )
    return run_through(steps, progress)


def sweep(question: Question, records: Sequence[QueryMetrics]) -> dict[str, ConfigSet]:
    """Return the cases that a question's ``over`` means, what is in force left out.

    A limit is all types' business whatever the scope. Timeouts lie between what nine in ten layer tasks
    take and half a minute. Strategies are what the tuner would set under each on these recalls. Plans are
    those that place one layer elsewhere.

    Examples:
        >>> list(sweep(Question(ConfigSet(), over="limit"), []))[:4]
        ['1', '2', '3', '4']
    """
    at, scope = question.configs, question.scope
    config = (at.in_scope(scope) or at.default).config
    if question.over == "limit":
        return {str(n): with_config(at, "all", max_concurrent=n) for n in SEARCH.limits if n != _limit(at)}
    if question.over == "timeout":
        return {
            f"{seconds:g}": with_config(at, scope, timeout_seconds=seconds, layer_timeouts={})
            for seconds in _timeouts(records, config.timeout_seconds)
        }
    if question.over == "strategy":
        return {s.value: _under(at, scope, s, records) for s in TuningStrategy}
    if question.over == "plans":
        asked = {task.layer for m in records for task in m.tasks if not task.is_second_call}
        return plans(at, scope, sorted(asked | config.second_round))
    if question.over == "switches":
        parallel, cache = not config.enable_parallel, not config.enable_cache
        return {
            "layers at once" if parallel else "layers in turn": with_config(
                at, scope, enable_parallel=parallel
            ),
            "cache on" if cache else "cache off": with_config(at, scope, enable_cache=cache),
        }
    return {}


def _way_of(text: str, query_type: str, layers: frozenset[str], config: TuningConfig) -> Way | None:
    """Return the way of a recorded question, as recalls find it; None if its text was not kept."""
    if not is_known(text):
        return None
    found = route(text, query_type, tuple(sorted(layers)), config)
    return Way(frozenset(found.first), found.waiting)


def plans(at: ConfigSet, scope: str, layers: Sequence[str]) -> dict[str, ConfigSet]:
    """Return the plans that place one layer elsewhere than the plan in force does.

    Args:
        at: in force.
        scope: "all", or the query type whose plan changes.
        layers: that recalls asked.

    Where questions of a type are told apart, also what it is like without that.

    Examples:
        >>> list(plans(ConfigSet(), "all", ["graph", "semantic"]))
        ['graph later', 'without graph', 'semantic later', 'without semantic']
    """
    config = (at.in_scope(scope) or at.default).config
    found = {}
    for layer in layers:
        later, without = config.second_round | {layer}, config.skipped_layers | {layer}
        second, skipped = config.second_round - {layer}, config.skipped_layers - {layer}
        places = {
            f"{layer} at once": {"second_round": second, "skipped_layers": skipped},
            f"{layer} later": {"second_round": later, "skipped_layers": skipped},
            f"without {layer}": {"second_round": second, "skipped_layers": without},
        }
        for name, place in places.items():
            if any(place[part] != getattr(config, part) for part in place):
                found[name] = with_config(at, scope, **place)
    if config.question_model:
        found["by type alone"] = with_config(at, scope, question_model={})
    return found


class WhatIfRun(RunHandle):
    """A question on its way to an answer, in a child process. All methods may be called from any thread.

    Args:
        ask: makes the question; called on a thread of the run.
        gate: taken while the child works: however many ask, so many simulate at a time.
    """

    def __init__(self, ask: Callable[[], Question], gate: threading.Semaphore | None = None) -> None:
        super().__init__()
        self._ask = ask
        self._gate = gate or threading.Semaphore()
        self._share = 0.0
        self._answer: WhatIf | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> WhatIfRun:
        """Begin; return the run itself.

        Raises:
            RuntimeError: if it was started before.
        """
        return self._begin(threading.Thread(target=self._work, name="what if", daemon=True).start)

    def stop(self) -> None:
        """End it; without effect once it has ended."""
        with self._changed:
            self._end(State.STOPPED)
            if self._process is not None:
                self._process.kill()

    @property
    def share(self) -> float:
        """How much of it is done, 0 to 1."""
        return self._share

    @property
    def answer(self) -> WhatIf | None:
        """The answer, once it has finished."""
        return self._answer

    def _work(self) -> None:
        try:
            with self._gate:
                if self.state is State.RUNNING:
                    self._simulate(self._ask())
        except Exception as failure:
            log.exception("a what-if failed")
            self._end(State.FAILED, f"the simulation ended with {type(failure).__name__}")

    def _simulate(self, question: Question) -> None:
        pipe = subprocess.PIPE
        child = subprocess.Popen([sys.executable, "-m", __name__], stdin=pipe, stdout=pipe)
        with self._changed:
            self._process = child
            if self.state is not State.RUNNING:
                child.kill()
        with (
            contextlib.suppress(BrokenPipeError),
            child,
        ):  # closing tries again to send
            assert child.stdin is not None and child.stdout is not None  # noqa: S101, PT018 (pipes, both)
            with contextlib.suppress(BrokenPipeError):
                pickle.dump(question, child.stdin)
                child.stdin.close()
            self._listen(child.stdout)

    def _listen(self, answers: IO[bytes]) -> None:
        while True:
            try:
                message: Any = pickle.load(answers)  # noqa: S301 (our own child says it)
            except (EOFError, pickle.UnpicklingError):
                self._end(State.FAILED, "the simulation ended without an answer")
                return
            if isinstance(message, float):
                self._share = message
                continue
            if isinstance(message, str):
                self._end(State.FAILED, message)
                return
            with self._changed:
                self._answer, self._share = message, 1.0
                self._end(State.FINISHED)
            return


def _limit(configs: ConfigSet) -> int:
    return configs.default.config.max_concurrent


def _timeouts(records: Sequence[QueryMetrics], current: float) -> list[float]:
    service = [t.service_ms / 1000 for m in records for t in m.tasks]
    least = max(float(np.quantile(service, 0.9)), 0.001) if service else 0.1
    most = max(30.0, least)
    grid = (float(f"{seconds:.2g}") for seconds in np.geomspace(least, most, 12))
    return [seconds for seconds in dict.fromkeys(grid) if seconds != current]


def _under(
    configs: ConfigSet, scope: str, strategy: TuningStrategy, records: Sequence[QueryMetrics]
) -> ConfigSet:
    newest = max((m.timestamp for m in records), default=0.0)
    profiler = PerformanceProfiler(24 * 365, max(1, len(records)), clock=lambda: newest)
    for record in records:
        profiler.record_query(record)
    tuner = AutoTuner(profiler, strategy, clock=lambda: newest)
    wanted = with_config(configs, "all", strategy=strategy)
    tuner.in_force(wanted)
    after = tuner.propose(None if scope == "all" else scope).after
    return with_config(wanted, scope, **{**after.to_dict(), "strategy": strategy})


def _child(questions: IO[bytes], answers: IO[bytes]) -> None:
    """Answer one question; whoever waits for recalls on this machine goes first."""
    if hasattr(os, "nice"):
        os.nice(5)
    question: Question = pickle.load(questions)  # noqa: S301 (our own parent says it)

    def send(message: object) -> None:
        pickle.dump(message, answers)
        answers.flush()

    try:
        send(answer(question, send))
    except ValueError as refused:
        send(str(refused))


if __name__ == "__main__":
    _child(sys.stdin.buffer, sys.stdout.buffer)
