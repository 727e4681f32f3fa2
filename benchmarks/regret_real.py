"""Does it hold where nothing is simulated? Real threads, SQLite and waits: blind predictions, sweep, ours.

First each world is run at a few limits, and what every other limit would give is predicted from that alone
and printed; only then every limit is really run. Last the tuner starts from the default and is compared
with the best limit of the sweep. Throughput of clients that wait for their answers, the strategy for which a
limit matters under any load.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import Figure, options, progress, report
from rig import WORLDS, World, drive, fill, manager, measured

from athena_tuning.model import Mode, TuningConfig, TuningStrategy
from athena_tuning.tuning.estimation.contention import capacity
from athena_tuning.tuning.estimation.telemetry import Telemetry, trace_of

SEEN = (2, 5, 10, 20)
LIMITS = (2, 3, 4, 5, 6, 8, 10, 13, 16, 20)
DEFAULT = 5
SAME = 0.05
"""Log ratio to the default below which a limit is neither better nor worse than it."""


@dataclass(frozen=True, slots=True)
class Result:
    """One world: log throughput over the default's by limit, predicted and then measured; and ours."""

    world: str
    predicted: Mapping[int, float]
    observed: Mapping[int, float]
    ours: float
    changes: int


def predict(world: World, memory: Path, questions: Sequence[str], seconds: float) -> dict[int, float]:
    """Run the limits of ``SEEN`` and return ``ln(X/X₀)`` by limit as the fitted law has it."""
    telemetry = Telemetry()
    for limit in SEEN:
        telemetry = telemetry.after(measured(world, memory, questions, limit, seconds)[1])
    laws = telemetry.laws
    work = trace_of(telemetry.recalls, laws).mean_work
    room = {n: capacity(min(n, world.clients * 3), work, laws) for n in LIMITS}
    return {n: math.log(room[n] / room[DEFAULT]) for n in LIMITS}


def sweep(world: World, memory: Path, questions: Sequence[str], seconds: float) -> dict[int, float]:
    """Run every limit twice, in an order and back, and return ``ln(X/X₀)``."""
    rates: dict[int, list[float]] = {}
    for limit in (*LIMITS, *reversed(LIMITS)):
        rates.setdefault(limit, []).append(measured(world, memory, questions, limit, seconds / 2)[0])
    mean = {limit: math.sqrt(a * b) for limit, (a, b) in rates.items()}
    return {limit: math.log(rate / mean[DEFAULT]) for limit, rate in mean.items()}


def tuned(world: World, memory: Path, questions: Sequence[str], seconds: float) -> tuple[float, int]:
    """Let the tuner run from the default; return recalls a second after that, and its config changes."""
    start = TuningConfig(strategy=TuningStrategy.THROUGHPUT)
    with manager(world, memory, start, Mode.AUTO) as opened:
        at_first = opened.configs.head
        drive(opened, questions, world.clients, seconds)
        rate = drive(opened, questions, world.clients, seconds / 2)
        return rate, opened.configs.head - at_first


def run(world: World, memory: Path, questions: Sequence[str], seconds: float) -> Result:
    """Predict, tell, sweep, and let the tuner try."""
    predicted = predict(world, memory, questions, seconds)
    progress(f"{world.name}, predicted blind: {_line(predicted)}")
    observed = sweep(world, memory, questions, seconds)
    progress(f"{world.name}, then measured:   {_line(observed)}")
    rate, changes = tuned(world, memory, questions, 4 * seconds)
    reference = measured(world, memory, questions, DEFAULT, seconds)[0]
    ours = math.log(rate / reference)
    progress(f"{world.name}, ours: ×{math.exp(ours):.2f} of the default with {changes} changes")
    return Result(world.name, predicted, observed, ours, changes)


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Return Spearman's ρ.

    Example:
        >>> rank_correlation([1, 2, 3], [10, 20, 15])
        0.5
    """
    n = len(a)
    apart = sum((x - y) ** 2 for x, y in zip(_ranks(a), _ranks(b), strict=True))
    return 1 - 6 * apart / (n * (n * n - 1))


def _ranks(values: Sequence[float]) -> list[int]:
    order = sorted(range(len(values)), key=lambda i: values[i])
    ranks = [0] * len(values)
    for rank, i in enumerate(order):
        ranks[i] = rank
    return ranks


def figures(results: Sequence[Result]) -> list[Figure]:
    """Return how well the predictions ranked the limits, and what ours reached."""
    rows, pairs = [], []
    for r in results:
        predicted, observed = list(r.predicted.values()), list(r.observed.values())
        best = max(r.observed.values())
        rows += [
            Figure(f"{r.world}, rank correlation", rank_correlation(predicted, observed), ""),
            Figure(f"{r.world}, best limit over the default", math.exp(best), "x"),
            Figure(f"{r.world}, ours over the default", math.exp(r.ours), "x", 0.97, True),
            Figure(f"{r.world}, regret of ours", math.exp(best - r.ours), "x"),
            Figure(f"{r.world}, config changes", r.changes, ""),
        ]
        pairs += [(p, o) for p, o in zip(predicted, observed, strict=True) if abs(o) > SAME]
    agree = sum(p * o > 0 for p, o in pairs) / max(len(pairs), 1)
    ranks = [rank_correlation(list(r.predicted.values()), list(r.observed.values())) for r in results]
    return [
        Figure("blind prediction, rank correlation, mean of worlds", sum(ranks) / len(ranks), "", 0.8, True),
        Figure(f"blind prediction, sign agreement ({len(pairs)} limits)", 100 * agree, "%", 80, True),
        *rows,
    ]


def _line(ratios: Mapping[int, float]) -> str:
    return ", ".join(f"{limit}: {math.exp(ratio):.2f}" for limit, ratio in ratios.items())


def main() -> int:
    """Run all worlds and report."""
    asked = options(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        memory = Path(folder) / "memory.db"
        questions = fill(memory)
        worlds = WORLDS[1:3] if asked.quick else WORLDS
        results = [run(world, memory, questions, 0.6 if asked.quick else 4.0) for world in worlds]
    return report(figures(results), asked)


if __name__ == "__main__":
    raise SystemExit(main())
