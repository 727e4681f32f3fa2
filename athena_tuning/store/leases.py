"""Leases: a right that one holder at a time has, and that runs out by itself if it is not renewed.

Clocks of machines differ and may jump, so no time of day decides here. A lease says how long it lasts, and
whoever wants it takes it once it has stood unrenewed for so long, by a clock of its own that never jumps. A
holder counts from before it asked for the renewal, and so is over before anybody else begins. Where that
fails, because a machine was suspended, the lease's number tells the old holder from the new one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from athena_tuning.store.errors import LeaseLost

NOBODY = ""


@dataclass(frozen=True, slots=True)
class Lease:
    """What a holder has.

    Attributes:
        name: which right.
        holder: who has it.
        number: grows whenever the lease goes to another holder (a fencing number): what is written under an
            older one is refused.
    """

    name: str
    holder: str
    number: int


@dataclass(frozen=True, slots=True)
class LeaseState:
    """A lease as it stands in a store; ``renewals`` grows whenever it is taken or renewed."""

    holder: str
    number: int
    renewals: int
    seconds: float

    def taken_by(self, holder: str, seconds: float, *, has_run_out: bool) -> LeaseState | None:
        """Return how it stands once ``holder`` has it for so long; None if another one has it still.

        Example:
            >>> state = LeaseState("a", 4, 9, 5.0)
            >>> state.taken_by("a", 5.0, has_run_out=False)
            LeaseState(holder='a', number=4, renewals=10, seconds=5.0)
            >>> state.taken_by("b", 5.0, has_run_out=True).number
            5
            >>> state.taken_by("b", 5.0, has_run_out=False) is None
            True
        """
        if self.holder == holder:
            return LeaseState(holder, self.number, self.renewals + 1, seconds)
        if self.holder == NOBODY or has_run_out:
            return LeaseState(holder, self.number + 1, self.renewals + 1, seconds)
        return None


UNTAKEN = LeaseState(NOBODY, 0, 0, 0.0)


def check_held(lease: Lease, state: LeaseState) -> None:
    """Refuse to write under a lease that has gone to somebody else.

    Raises:
        LeaseLost: likewise.
    """
    if (state.holder, state.number) != (lease.holder, lease.number):
        raise LeaseLost(
            f"nothing was written: {lease.holder} had the lease {lease.name!r} as number {lease.number}, but"
            f" {state.holder or 'nobody'} has it as number {state.number}"
        )


class LeaseWatch:
    """Knows since when each lease stands as it does, as far as this process has seen.

    Args:
        monotonic: seconds that never jump.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._seen: dict[str, tuple[LeaseState, float]] = {}

    def has_run_out(self, name: str, state: LeaseState) -> bool:
        """Whether a lease has not been renewed for as long as it lasts."""
        now = self._monotonic()
        seen, since = self._seen.setdefault(name, (state, now))
        if seen != state:
            self._seen[name] = state, now
            return False
        return now - since >= state.seconds
