"""What all benchmarks share: one figure a line, a table for people, JSON for machines.

A script measures, collects ``Figure`` records and ends with ``raise SystemExit(report(figures, options))``.
Times are medians over repeats; ratios come from one run, so that a busy machine shifts both sides.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value beside its target.

    Attributes:
        name: what was measured, with its size ("five percentiles, 1M").
        value: the measurement.
        unit: "ns", "µs", "ms", "s", "bytes", "x", "%", "/s", …
        target: the bound it must keep; None for a yardstick that is only shown.
        at_least: whether the target is a lower bound; else an upper one.
        low: lower end of its 95 % interval; None where none was drawn.
        high: upper end.
    """

    name: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = False
    low: float | None = None
    high: float | None = None

    @property
    def ok(self) -> bool | None:
        """Whether the target is met; None without a target. A value that is NaN meets nothing."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target

    def to_dict(self) -> dict[str, object]:
        """Return the record as plain JSON types: name, value, unit, target, bounds, ok."""
        return {**asdict(self), "value": self.value if math.isfinite(self.value) else None, "ok": self.ok}


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for: ``--quick`` (small sizes, under a minute) and ``--json``."""

    quick: bool
    json: bool


def options(description: str | None, argv: Sequence[str] | None = None) -> Options:
    """Parse the command line that all benchmarks understand."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="small sizes, under a minute")
    parser.add_argument("--json", action="store_true", help="print a JSON list in place of the table")
    return Options(**vars(parser.parse_args(argv)))


def median(values: Sequence[float]) -> float:
    """Return the median of at least one value."""
    return float(statistics.median(values))


def quantile(values: Sequence[float], q: float) -> float:
    """Return ``sorted(values)[int(q · n)]``, the definition used everywhere here."""
    ordered = sorted(values)
    return float(ordered[min(int(q * len(ordered)), len(ordered) - 1)])


def timed(
    work: Callable[[], object], repeats: int = 9, before: Callable[[], object] | None = None
) -> list[float]:
    """Run ``work`` several times and return the seconds of each run.

    Args:
        work: what is measured.
        repeats: how often.
        before: runs ahead of each repeat, unmeasured (for instance: record one more query).
    """
    seconds = []
    for _ in range(repeats):
        if before is not None:
            before()
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return seconds


@contextmanager
def no_gc() -> Iterator[None]:
    """Keep the garbage collector out of a measurement, as ``timeit`` does."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def report(figures: Sequence[Figure], asked: Options) -> int:
    """Print all figures as a table or as JSON; return the exit code: 1 if a target is missed, else 0."""
    if asked.json:
        print(json.dumps([figure.to_dict() for figure in figures], indent=1, ensure_ascii=False))
    else:
        print(table(figures))
    return int(any(figure.ok is False for figure in figures))


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as aligned lines: name, value, target, verdict."""
    width = max((len(figure.name) for figure in figures), default=0)
    return "\n".join(_line(figure, width) for figure in figures)


def _line(figure: Figure, width: int) -> str:
    bound = ""
    if figure.target is not None:
        bound = f"{'≥' if figure.at_least else '≤'} {_number(figure.target)} {figure.unit}"
    verdict = {True: "ok", False: "MISSED", None: ""}[figure.ok]
    value = f"{_number(figure.value):>10} {figure.unit:<8}"
    if figure.low is not None and figure.high is not None:
        value += f" ({_number(figure.low)} to {_number(figure.high)})"
    return f"{figure.name:<{width}}  {value} {bound:<18} {verdict}".rstrip()


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def progress(message: str) -> None:
    """Tell on stderr what runs now, so that stdout stays clean for JSON."""
    print(message, file=sys.stderr, flush=True)
