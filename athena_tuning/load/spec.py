"""What load to make: a frozen, validated description that can be stored and run again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from athena_tuning.load.bursts import Burstiness
from athena_tuning.load.mix import EVEN, check_mix
from athena_tuning.load.patterns import PATTERNS, Times, bursty, replay

PATTERN_NAMES = (*PATTERNS, "replay")
MOST_ARRIVALS = 20_000_000
_BLOCK_S = 600.0


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """A load to run.

    Open loop (``clients`` is None): recalls start when the pattern says, whether earlier ones are done or
    not. Closed loop: so many clients, each asking again ``think_s`` after its answer; rate and pattern are
    then what comes out of it, and are not used.

    Attributes:
        pattern: "steady", "ramp", "spike", "bursty", "day" or "replay".
        rate_per_s: mean arrivals a second.
        duration_s: seconds; None goes on until stopped (each ten minutes then follow the pattern anew).
        mix: weight by query type.
        repetition: Zipf exponent of the questions, 0 (hardly any question twice) to 5.
        seed: of arrivals and questions; the same seed is the same load.
        clients: closed loop with so many clients.
        think_s: pause of a client between answer and next question, in seconds.
        k: results asked for.
        speed: how many times as fast a replay runs.
        replay_of: what is replayed, as ``recordings`` knows it.
        cv: inter-arrival CV of "bursty".
        dispersion: index of dispersion of "bursty" over ``window_s`` seconds; None: see ``Burstiness``.
        window_s: window of the dispersion, in seconds.
        cold: empty the manager's cache of answers before the first recall.

    Raises:
        ValueError: if a value does not fit; the message names field and value.

    Examples:
        >>> LoadSpec("bursty", rate_per_s=20, duration_s=60).closed
        False
    """

    pattern: str = "steady"
    rate_per_s: float = 10.0
    duration_s: float | None = 60.0
    mix: Mapping[str, float] = field(default_factory=lambda: EVEN)
    repetition: float = 1.0
    seed: int = 0
    clients: int | None = None
    think_s: float = 0.0
    k: int = 5
    speed: float = 1.0
    replay_of: str = ""
    cv: float = 1.8
    dispersion: float | None = None
    window_s: float = 60.0
    cold: bool = False

    def __post_init__(self) -> None:
        if self.pattern not in PATTERN_NAMES:
            raise ValueError(f"pattern must be one of {', '.join(PATTERN_NAMES)}, not {self.pattern!r}")
        _positive("rate_per_s", self.rate_per_s, 100_000)
        _positive("speed", self.speed, 1_000_000)
        if self.duration_s is not None:
            _positive("duration_s", self.duration_s, 30 * 86400)
            if not self.closed and self.rate_per_s * self.duration_s > MOST_ARRIVALS:
                raise ValueError(f"rate_per_s · duration_s is above {MOST_ARRIVALS:,} recalls")
        if self.clients is not None and not 1 <= self.clients <= 1024:
            raise ValueError(f"clients must be 1 to 1024, not {self.clients}")
        if not (math.isfinite(self.think_s) and self.think_s >= 0):
            raise ValueError(f"think_s must be 0 or more, not {self.think_s}")
        if not 1 <= self.k <= 1000:
            raise ValueError(f"k must be 1 to 1000, not {self.k}")
        if not 0 <= self.repetition <= 5:
            raise ValueError(f"repetition must be 0 to 5, not {self.repetition}")
        check_mix(self.mix)
        self.burstiness  # noqa: B018 (its own check)
        object.__setattr__(self, "mix", MappingProxyType(dict(self.mix)))

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self).from_dict, (self.to_dict(),))

    @property
    def closed(self) -> bool:
        """Whether clients wait for their answers."""
        return self.clients is not None

    @property
    def burstiness(self) -> Burstiness:
        """What "bursty" aims at."""
        return Burstiness(self.cv, self.dispersion, self.window_s)

    def arrivals(self, recorded: Sequence[float] = ()) -> Iterator[float]:
        """Return when recalls start, in seconds from the start of the run; endless without a duration.

        Args:
            recorded: the times to replay, for the pattern "replay".

        Raises:
            ValueError: if the pattern cannot be made with these figures.
        """
        if self.pattern == "replay":
            times = replay(recorded, self.speed)
            return iter(times[times < (self.duration_s or math.inf)].tolist())
        rng = np.random.default_rng([self.seed, 0])
        first = self._block(rng)
        if self.duration_s is not None:
            return iter(first.tolist())
        return self._endless(first, rng)

    def _endless(self, block: Times, rng: np.random.Generator) -> Iterator[float]:
        begin = 0.0
        while True:
            for arrival in block.tolist():
                yield begin + arrival
            begin += _BLOCK_S
            block = self._block(rng)

    def _block(self, rng: np.random.Generator) -> Times:
        duration = self.duration_s or _BLOCK_S
        if self.pattern == "bursty":
            return bursty(self.rate_per_s, duration, rng, self.burstiness)
        return PATTERNS[self.pattern](self.rate_per_s, duration, rng)

    def to_dict(self) -> dict[str, Any]:
        """Return the values as plain JSON types."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return values | {"mix": dict(self.mix)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make a spec from plain JSON types.

        Raises:
            ValueError: if a name is unknown or a value does not fit.
        """
        if unknown := set(values) - {f.name for f in fields(cls)}:
            raise ValueError(f"unknown load fields: {', '.join(sorted(unknown))}")
        return cls(**values)


def _positive(name: str, value: float, most: float) -> None:
    if not (isinstance(value, (int, float)) and math.isfinite(value) and 0 < value <= most):
        raise ValueError(f"{name} must be above 0 and at most {most:g}, not {value!r}")
