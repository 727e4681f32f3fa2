"""The runs that a framework tells of, as they begin and end, to the reader of spans."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable
from dataclasses import dataclass

from athena_tuning.integrations.live_spans import LiveSpans
from athena_tuning.interchange.spans import COUNT_ATTRIBUTE, KIND_ATTRIBUTE, Span
from athena_tuning.profiling import PerformanceProfiler

_MOST_RUNS = 100_000


@dataclass(frozen=True, slots=True)
class _Run:
    """A run on its way: where it belongs, what it is, and when it began by both clocks."""

    trace_id: str
    parent_id: str | None
    name: str
    kind: str
    text: str | None
    begun_ns: int
    timer_ns: int


class FrameworkRuns:
    """Takes the runs of a framework, and records the recalls among them for a profiler.

    A run whose parent is not known begins a trace. May be used from any thread.

    Args:
        profiler: takes the records.

    Attributes:
        spans: what is under way, and what was let go.
    """

    def __init__(self, profiler: PerformanceProfiler) -> None:
        self.spans = LiveSpans(profiler, first_spans=False)
        self._runs: dict[Hashable, _Run] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return how many runs are under way."""
        return len(self._runs)

    def begin(
        self, own: Hashable, above: Hashable | None, name: str, kind: str, text: str | None = None
    ) -> None:
        """Note a run that begins.

        Args:
            own: its id.
            above: id of the run that it is a part of.
            name: what a person calls it.
            kind: one of OpenInference's: RETRIEVER, LLM, CHAIN, TOOL.
            text: what it is asked, if that is known already.
        """
        with self._lock:
            parent = self._runs.get(above) if above is not None else None
            trace_id = str(own) if parent is None else parent.trace_id
            parent_id = None if parent is None else str(above)
            self._runs[own] = _Run(
                trace_id, parent_id, name, kind, text, time.time_ns(), time.perf_counter_ns()
            )
            while len(self._runs) > _MOST_RUNS:  # those that never ended
                del self._runs[next(iter(self._runs))]
        self.spans.begin(trace_id, str(own), parent_id, name)

    def end(
        self,
        own: Hashable,
        *,
        text: str | None = None,
        found: int | None = None,
        error: BaseException | None = None,
    ) -> None:
        """Note a run that has ended; one that is not known is let be.

        Args:
            own: its id.
            text: what it was asked, if that was not known before.
            found: how many results it found.
            error: what it failed with.
        """
        with self._lock:
            begun = self._runs.pop(own, None)
        if begun is None:
            return
        attributes = {KIND_ATTRIBUTE: begun.kind, "input.value": text or begun.text, COUNT_ATTRIBUTE: found}
        self.spans.end(
            Span(
                begun.trace_id,
                str(own),
                begun.parent_id,
                begun.name,
                begun.begun_ns,
                time.perf_counter_ns() - begun.timer_ns,
                error is None,
                None if error is None else f"{type(error).__name__}: {error}",
                attributes={name: value for name, value in attributes.items() if value is not None},
            )
        )
