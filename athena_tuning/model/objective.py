"""What is promised of recalls: a latency that few may miss, and a share that must succeed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

WITHIN = 0.99
"""Share of recalls that a promised p99 holds for."""


@dataclass(frozen=True, slots=True)
class Objective:
    """What is promised of the live recalls of a scope.

    The error budget of the latency is the share that may be slower: 1 % for a p99. That of success is what is
    left of 1. Refused recalls miss both.

    Attributes:
        scope: "all" or a query type.
        p99_ms: 99 % of the recalls take at most so long; None: no promise.
        success: share of recalls, 0 to 1, that neither fail nor are refused; None: no promise.
        author: who promised it.
        time: Unix seconds.

    Raises:
        ValueError: if a value makes no sense.
    """

    scope: str = "all"
    p99_ms: float | None = None
    success: float | None = None
    author: str = ""
    time: float = 0.0

    def __post_init__(self) -> None:
        if not self.scope:
            raise ValueError("an objective needs a scope: 'all', or a query type")
        if self.p99_ms is not None and not 0 < self.p99_ms < 1e9:
            raise ValueError(f"a promised p99 is above 0 ms, not {self.p99_ms:g} ms")
        if self.success is not None and not 0 < self.success < 1:
            raise ValueError(
                f"a promised success is above 0 and below 100 %, not {self.success * 100:g} %: "
                "of 100 % nothing could ever fail"
            )

    @property
    def is_none(self) -> bool:
        """Whether it says that nothing is promised."""
        return self.p99_ms is None and self.success is None

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make a record from what ``to_dict`` gave; what a newer program added is left out."""
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})
