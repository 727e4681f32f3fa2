"""Requests of which everything is known, for files to be made of: 150 in 7 s, with two layers each."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

LAYERS = ("semantic", "graph")
BEGIN = 1_790_000_000


@dataclass(frozen=True, slots=True)
class MadeRequest:
    """One request, exact to a microsecond.

    Attributes:
        number: from 0.
        start_us: Unix time.
        took_us: how long it took.
        ok: whether it succeeded.
        text: what was asked.
        layers_us: how long each of its layers took; they run at the same time.
    """

    number: int
    start_us: int
    took_us: int
    ok: bool
    text: str
    layers_us: tuple[int, ...]

    @property
    def end_us(self) -> int:
        """When it ended."""
        return self.start_us + self.took_us


@dataclass(frozen=True, slots=True)
class Truth:
    """What a file says, whatever its format.

    Attributes:
        count: requests.
        p50_ms: median latency; None where the format has none.
        p99_ms: the 99th percentile.
        succeeded: requests of which that is known.
        failed: the same.
        first: when the first began, Unix seconds (or from the file's own beginning).
        last: when the last began.
        layers: their names.
        within_ms: how exact the format's durations are.
        within_s: how exact its times are.
    """

    count: int
    p50_ms: float | None
    p99_ms: float | None
    succeeded: int
    failed: int
    first: float
    last: float
    layers: frozenset[str] = frozenset()
    within_ms: float = 0.002
    within_s: float = 0.002


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file, and what it says.

    Attributes:
        name: what the file is, and its ending.
        format: which format it has.
        content: its bytes.
        truth: what it says; None for one that is refused.
        questions: what has to be asked of it ("unit" and other words of doubts).
    """

    name: str
    format: str
    content: bytes = field(repr=False)
    truth: Truth | None = None
    questions: frozenset[str] = frozenset()


def made_requests(count: int = 150, seed: int = 7) -> list[MadeRequest]:
    """Return requests that are always the same: a median of about 50 ms, one in 20 fails."""
    rng = random.Random(seed)
    made = []
    at = float(BEGIN * 1_000_000)
    for number in range(count):
        at += rng.expovariate(1.0) * 46_000
        took = max(2_000, round(rng.lognormvariate(3.93, 0.6) * 1000))
        layers = (round(took * rng.uniform(0.5, 0.9)), round(took * rng.uniform(0.2, 0.5)))
        text = f"what was decided about topic {number % 40}?"
        made.append(MadeRequest(number, round(at), took, rng.random() > 0.05, text, layers))
    return made


def truth_of(
    requests: Sequence[MadeRequest],
    *,
    layers: Sequence[str] = (),
    origin_us: int = 0,
    failures: bool = True,
    successes: bool = True,
    within_ms: float = 0.002,
    within_s: float = 0.002,
) -> Truth:
    """Return what a file of these requests says.

    Args:
        requests: all of them.
        layers: as the format calls them.
        origin_us: the file's own beginning.
        failures: whether the format tells of failures.
        successes: whether it tells of successes.
        within_ms: how exact its durations are.
        within_s: how exact its times are.
    """
    took = sorted(request.took_us / 1e3 for request in requests)
    starts = [(request.start_us - origin_us) / 1e6 for request in requests]
    return Truth(
        len(requests),
        statistics.median(took),
        took[int(0.99 * len(took))],
        sum(request.ok for request in requests) if successes else 0,
        sum(not request.ok for request in requests) if failures else 0,
        min(starts),
        max(starts),
        frozenset(layers),
        within_ms,
        within_s,
    )
