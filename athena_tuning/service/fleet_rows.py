"""Each manager in one row: whether it is alive, what it carries, how full it is, which config it runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from athena_tuning.model import LayerHealth, WorkerStatus
from athena_tuning.service import text
from athena_tuning.service.facts import Situation
from athena_tuning.service.fleet_limit import FleetLimit


@dataclass(frozen=True, slots=True)
class ManagerRow:
    """A manager that shares the store.

    Attributes:
        status: as it last reported itself.
        is_alive: whether it did so lately.
        is_current: whether it runs the newest config.
        per_second: recalls, of the last ten minutes; NaN where none was stored.
        p99_ms: of them.
        busy: slots that its layers hold, as it last told.
        waiting: layer tasks that wait for one.
        limit: slots that it may use.
        wanted: slots that it wants of a limit that all share; None where each has its own.
    """

    status: WorkerStatus
    is_alive: bool
    is_current: bool
    per_second: float
    p99_ms: float
    busy: int
    waiting: int
    limit: int
    wanted: float | None = None

    @property
    def full(self) -> float:
        """The share of its slots that is busy, at most 1."""
        return min(self.busy / max(self.limit, 1), 1.0)


def fleet_rows(
    workers: Sequence[WorkerStatus],
    measured: Mapping[str, tuple[float, float]],
    health: Mapping[str, Sequence[LayerHealth]],
    *,
    head: int,
    limit: FleetLimit,
    now: float,
    alive_seconds: float,
) -> list[ManagerRow]:
    """Return the managers, those that are alive first.

    Args:
        workers: that the store knows.
        measured: by manager its recalls a second and their p99 in ms.
        health: by manager that is alive what it says of its layers.
        head: the newest config's version.
        limit: slots as the fleet has them.
        now: Unix seconds.
        alive_seconds: after which a manager that has not reported itself is not alive.
    """
    rows = []
    for worker in workers:
        per_second, p99_ms = measured.get(worker.worker_id, (math.nan, math.nan))
        layers, share = health.get(worker.worker_id, ()), limit.share(worker.worker_id)
        rows.append(
            ManagerRow(
                worker,
                now - worker.last_seen <= alive_seconds,
                worker.config_version == head,
                per_second,
                p99_ms,
                sum(of.slots_held for of in layers),
                sum(of.slots_waiting for of in layers),
                share.slots,
                share.wanted,
            )
        )
    return sorted(rows, key=lambda row: (not row.is_alive, row.status.worker_id))


def say_of_fleet(rows: Sequence[ManagerRow]) -> Situation:
    """Return what there is to say first of the managers.

    Examples:
        >>> say_of_fleet([]).sentence
        'No manager has reported itself yet.'
    """
    alive = [row for row in rows if row.is_alive]
    if not rows:
        why = ("`athena-tuning manager` starts one, with the same store.",)
        return Situation("quiet", "No manager has reported itself yet.", why)
    if not alive:
        return Situation("bad", "No manager is alive on this store.")
    behind = [row for row in alive if not row.is_current]
    newest = max((row.status.config_version for row in alive if row.is_current), default=0)
    if behind:
        names = ", ".join(text.plain(row.status.worker_id, 40) for row in behind[:3])
        verb = "does" if len(behind) == 1 else "do"
        words = f"{len(behind)} of {len(alive)} managers {verb} not run the newest config yet."
        return Situation(
            "warn", words, (f"{names}: the store could not be read there, or it takes a moment.",)
        )
    full = [row for row in alive if row.waiting > row.limit]
    on = f"on v{newest}" if newest else "on the defaults"
    if full:
        words = f"{len(full)} of {len(alive)} managers have more tasks waiting than running."
        return Situation("warn", words, (f"All run the newest config, {on}.",))
    words = "One manager is alive" if len(alive) == 1 else f"{len(alive)} managers are alive, all"
    return Situation("good", f"{words} {on}.")
