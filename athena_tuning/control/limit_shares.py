"""How the slots of a fleet's limit are shared out among the workers that ask for them: by demand."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import msgspec

FLOOR = 1
"""Slots that each worker has, whatever the others want: recalls go on everywhere."""

LEASE_SECONDS = 5.0
"""A worker that has not been heard of for so long gives its share back."""

BUSY_SECONDS, WAITING_SECONDS = 0.2, 0.05
"""Over which tasks that hold a slot, and those that wait, are averaged. Judgement: some ten tasks of an
embedded layer; and a backlog that is gone claims nothing, so that what is idle is lent within 250 ms."""

WAITS = 0.5
"""Tasks that wait in the mean from which a worker has more to do than slots. Judgement: half a task."""

UNUSED_SECONDS = 1.0
"""In which one slot that stands unused while tasks wait makes up for itself. Judgement: slower than shares
follow demand, faster than a queue grows long."""

UNUSED_KEPT_SECONDS = 0.25
"""For how long that goes on after tasks have stopped waiting, or wait everywhere. Chosen so that between 5
and 10 slots as many tasks run while others wait as the limit says (worlds of ``benchmarks/fleet.py``)."""

UNUSED_MOST = 0.5, 0.1
"""At most so many slots, and so much of the limit on top, are given out beyond it. Judgement."""

STICKY = 0.8
"""A share stays while it is nearer than this to what it should be. Arithmetic: half a slot is rounding; the
rest keeps what comes by chance from being told to everybody."""


class Demand(msgspec.Struct, frozen=True):
    """What a worker says of its slots.

    Attributes:
        wanted: layer tasks that hold or wait for a slot, in the mean of late; None: it cannot tell.
        busy: those that hold one, likewise.
        share: slots that it obeys as its limit.
        beat: grows with each report.
        gone: whether it has ended.
    """

    wanted: float | None
    busy: float
    share: int
    beat: int = 0
    gone: bool = False

    @property
    def waits(self) -> bool:
        """Whether tasks wait for a slot, so that all that is fair is claimed already."""
        return self.wanted is not None and self.wanted - self.busy > WAITS


Load = tuple[int, int] | None
"""Tasks that hold a slot, and tasks that wait for one; None: that is not known here."""


class DemandMeter:
    """Samples how many tasks hold and want slots. A background step does so, no recall pays for it."""

    def __init__(self) -> None:
        self._waiting = self._busy = 0.0
        self._at = -math.inf
        self._beat = 0

    def sample(self, load: Load, share: int, now: float) -> Demand:
        """Return the demand after another look.

        Args:
            load: tasks that hold a slot and that wait for one.
            share: the limit.
            now: monotonic seconds.
        """
        self._beat += 1
        if load is None:
            return Demand(None, share, share, self._beat)
        in_flight, waiting = load
        passed, self._at = now - self._at, now
        self._busy = _mean(self._busy, in_flight, passed / BUSY_SECONDS)
        self._waiting = _mean(self._waiting, waiting, passed / WAITING_SECONDS)
        return Demand(self._busy + self._waiting, self._busy, share, self._beat)


def _mean(before: float, value: float, passed: float) -> float:
    kept = math.exp(-passed)
    return kept * before + (1 - kept) * value


class Shares(msgspec.Struct, frozen=True):
    """Who may have how many slots, as the worker that shares them out tells all.

    Attributes:
        number: of the lease under which they were told.
        turn: grows with each telling under one lease.
        budget: the limit that is shared.
        by_worker: slots by worker.
    """

    number: int = 0
    turn: int = 0
    budget: int = 0
    by_worker: dict[str, int] = msgspec.field(default_factory=dict)


def shared_out(
    budget: int, demands: Mapping[str, Demand], before: Mapping[str, int], more: float = 0.0
) -> dict[str, int]:
    """Return each worker's share of a budget.

    Each has its max-min fair share of what is wanted (Bertsekas and Gallager, *Data Networks*, 1992),
    ``min(wᵢ, level)``: who wants little has it, the others have the same, together the budget at most. On top
    of that each that has nothing waiting may take all that nobody uses, ``budget − Σ busyᵢ``, and those that
    wait a part each: idle slots are lent to all at once, and no longer once somebody uses them. While
    everybody waits shares add up to the budget, where a worker with the floor counts as much as it uses.

    Args:
        budget: slots in all; where workers are more than that, each has one.
        demands: of the workers that are alive.
        before: what they had: a share that is near enough to what it should be stays.
        more: slots to give out beyond the budget, because so many stand unused while tasks wait.

    Examples:
        >>> shared_out(8, {"a": Demand(5.0, 5.0, 5), "b": Demand(1.0, 1.0, 4)}, {})
        {'a': 7, 'b': 3}
        >>> shared_out(8, {"a": Demand(30.0, 6.0, 6), "b": Demand(2.0, 2.0, 2)}, {})
        {'a': 6, 'b': 2}
        >>> shared_out(2, dict.fromkeys("abc", Demand(9.0, 1.0, 1)), {})
        {'a': 1, 'b': 1, 'c': 1}
    """
    slots = budget + more
    equal = slots / max(len(demands), 1)
    wanted = {name: equal if d.wanted is None else max(d.wanted, 0.0) for name, d in demands.items()}
    busy = sum(wanted[name] if d.wanted is None else d.busy for name, d in demands.items())
    spare, level = max(slots - busy, 0.0), _level(slots, list(wanted.values()))
    fair = {name: min(w, level) for name, w in wanted.items()}
    part = spare / max(sum(d.waits for d in demands.values()), 1)
    lent = {name: part if d.waits else spare for name, d in demands.items()}
    fair = {name: share + lent[name] for name, share in fair.items()}
    shares = {name: _near(share, before.get(name), budget) for name, share in fair.items()}
    if level < math.inf:
        _fit(shares, fair, slots + sum(lent.values()), budget)
    return shares


def _level(budget: float, wanted: list[float]) -> float:
    """Return the level with ``Σ min(wᵢ, level) = budget``."""
    left = float(budget)
    for i, least in enumerate(sorted(wanted)):
        if least * (len(wanted) - i) >= left:
            return left / (len(wanted) - i)
        left -= least
    return math.inf


def _near(fair: float, before: int | None, budget: int) -> int:
    stays = before is not None and abs(fair - before) < STICKY
    return min(max(before if stays and before is not None else round(fair), FLOOR), max(budget, FLOOR))


def _fit(shares: dict[str, int], fair: Mapping[str, float], slots: float, most: int) -> None:
    """Take slots from who is furthest above what is fair until all have ``slots``, or give the rest.

    Who has the floor counts as what is fair for it, so that budgets are not used up by those who want little.
    """
    used = sum(min(fair[name], FLOOR) if share == FLOOR else share for name, share in shares.items())
    above = {name: share - fair[name] for name, share in shares.items()}
    for name in sorted(shares, key=lambda name: -above[name]):
        if used <= slots + 0.5:
            break
        if shares[name] > FLOOR:
            shares[name], used = shares[name] - 1, used - 1
    for name in sorted(shares, key=lambda name: above[name]):
        if used + 1 > slots or above[name] >= 0 or shares[name] >= most:
            break
        shares[name], used = shares[name] + 1, used + 1


@dataclass
class ShareKeeper:
    """Shares a budget out among the workers that are alive: the state of the one worker that does so.

    Slots are whole and demand moves faster than shares, so that some stand unused at one worker while tasks
    wait at another: a third to three quarters of a slot, a tenth of a small limit. Those are given out once
    more: the integral of ``budget − Σ busyᵢ`` over the time in which tasks wait at some workers only. So as
    many tasks run while others wait as the limit says.

    Attributes:
        told: shares as they are told; whoever takes over goes on from what was told last.
    """

    told: Shares = field(default_factory=Shares)
    _unused: float = 0.0
    _shared_at: float = -math.inf
    _heard: dict[str, tuple[int, float]] = field(default_factory=dict)

    def step(self, budget: int, reports: Mapping[str, Demand], number: int, now: float) -> Shares:
        """Return the shares as they are to be told now; the same object if nothing has changed.

        Args:
            budget: the limit.
            reports: newest of each worker.
            number: of the lease.
            now: monotonic seconds.
        """
        alive = self._alive(reports, now)
        self._unused = self._left_unused(budget, alive.values(), now)
        shares = shared_out(budget, alive, self.told.by_worker, self._unused)
        if (shares, budget, number) != (self.told.by_worker, self.told.budget, self.told.number):
            turn = self.told.turn + 1 if number == self.told.number else 1
            self.told = Shares(number, turn, budget, shares)
        return self.told

    def _left_unused(self, budget: int, demands: Collection[Demand], now: float) -> float:
        """Return the slots that stand unused while tasks wait."""
        passed, self._shared_at = min(now - self._shared_at, UNUSED_KEPT_SECONDS), now
        if len({demand.waits for demand in demands}) < 2:  # who all wait use all that they have
            return self._unused * math.exp(-passed / UNUSED_KEPT_SECONDS)
        unused = budget - sum(demand.busy for demand in demands)
        slots, share = UNUSED_MOST
        return min(max(self._unused + unused * passed / UNUSED_SECONDS, 0.0), slots + share * budget)

    def _alive(self, reports: Mapping[str, Demand], now: float) -> dict[str, Demand]:
        """Return the reports of those that were heard of lately, by this one's own clock."""
        alive = {}
        for name, demand in sorted(reports.items()):
            beat, since = self._heard.get(name, (-1, now))
            if demand.beat != beat:
                since = now
            self._heard[name] = demand.beat, since
            if not demand.gone and now - since < LEASE_SECONDS:
                alive[name] = demand
        self._heard = {name: heard for name, heard in self._heard.items() if name in reports}
        return alive
