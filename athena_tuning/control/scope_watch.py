"""Whether managers share a backend: the leader looks at what they met, tells it, and an operator decides."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from athena_tuning.control.lease import TuningLease
from athena_tuning.model import LimitScope, TuningConfig
from athena_tuning.store import Store, StoreEvent
from athena_tuning.tuning import AutoTuner
from athena_tuning.tuning.estimation.interference import Interference, Relation, interference
from athena_tuning.tuning.settings import INTERFERENCE

ALIVE_SECONDS = 10.0
"""A worker that has reported itself within so long is alive."""

LOOK_SECONDS = 1.0
_ESTIMATE_SECONDS = 5.0
_TOLD_AGAIN_SECONDS = 60.0
EVENT = "limit scope"
"""The kind of the store's event that says what the limit had better speak of: nothing befell the store."""

_TOPIC, _KEY = EVENT, "leader"


@dataclass(frozen=True, slots=True)
class ScopeFinding:
    """What the leader says of what the limit should speak of.

    Attributes:
        time: Unix seconds.
        in_force: the scope by then.
        proposed: the scope that the evidence speaks for; None: it speaks for none.
        workers: that were alive.
        relation: what is known of the managers.
        why: in words, with figures.
        held: why the limit must not go up, in words; "" if it may.
    """

    time: float
    in_force: LimitScope
    proposed: LimitScope | None
    workers: int
    relation: Relation
    why: str
    held: str = ""

    @property
    def is_proposal(self) -> bool:
        """Whether another scope than the one in force is proposed."""
        return self.proposed is not None and self.proposed is not self.in_force

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as plain JSON types."""
        return asdict(self)


class ScopeWatch:
    """Looks whether managers slow each other down, holds the tuner back while that is unknown, and tells it.

    With a limit for each manager and several of them on one backend, a step up is several steps up at once,
    of which none of them sees more than its own. So while more than one is alive there is none, until what
    they met shows that they do not slow each other down; then as far as they have been seen together.

    Args:
        store: knows who is alive; what was found is told there.
        lease: says whether this worker leads.
        tuner: has the recalls of all managers, and is held back.
        config: returns the config in force for all types.
        clock: Unix seconds.
        monotonic: seconds that never jump.
    """

    def __init__(
        self,
        store: Store,
        lease: TuningLease,
        tuner: AutoTuner,
        config: Callable[[], TuningConfig],
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._lease = lease
        self._tuner = tuner
        self._config = config
        self._clock = clock
        self._monotonic = monotonic
        self._found = Interference()
        self._found_at = self._told_at = -1e9
        self._told: ScopeFinding | None = None

    def look(self) -> None:
        """Hold the tuner back or let it go, and tell why, if this worker leads.

        Raises:
            StoreError: if the store cannot be asked; what was found holds.
        """
        if self._lease.held is None:
            self._told = None
            return
        now, config = self._clock(), self._config()
        alive = sum(now - worker.last_seen <= ALIVE_SECONDS for worker in self._store.workers())
        if alive < 2:
            self._tuner.hold_back(None)
            return
        if self._monotonic() - self._found_at >= _ESTIMATE_SECONDS:
            self._found, self._found_at = interference(self._tuner.recalls), self._monotonic()
        most, held = ceiling(self._found, config, alive)
        self._tuner.hold_back(most, held)
        self._tell(finding(self._found, config, alive, held, now))

    def _tell(self, found: ScopeFinding) -> None:
        told, at = self._told, self._monotonic()
        is_news = told is None or (told.in_force, told.proposed) != (found.in_force, found.proposed)
        if not is_news and at - self._told_at < _TOLD_AGAIN_SECONDS:
            return
        self._store.post(_TOPIC, _KEY, msgspec.json.encode(found).decode())
        if found.is_proposal and is_news:
            text = f"the limit should be one for {_OF[found.proposed or found.in_force]}: {found.why}"
            self._store.append_event(StoreEvent(found.time, EVENT, text))
        self._told, self._told_at = found, at


_OF = {LimitScope.FLEET: "all managers", LimitScope.MANAGER: "each manager"}


def finding(found: Interference, config: TuningConfig, workers: int, held: str, now: float) -> ScopeFinding:
    """Return what is to be told of the managers' relation."""
    proposed = {
        Relation.UNKNOWN: None,
        Relation.SHARED: LimitScope.FLEET,
        Relation.APART: LimitScope.MANAGER,
    }[found.relation]
    return ScopeFinding(now, config.limit_scope, proposed, workers, found.relation, found.why, held)


def ceiling(found: Interference, config: TuningConfig, workers: int) -> tuple[int | None, str]:
    """Return the largest limit to choose with several workers alive, and why; None: there is none.

    Examples:
        >>> from athena_tuning.model import TuningConfig
        >>> ceiling(Interference(Relation.APART, most=12), TuningConfig(5), 3)[0]
        6
        >>> ceiling(Interference(), TuningConfig(5, limit_scope=LimitScope.FLEET), 3)
        (None, '')
    """
    if config.limit_scope is LimitScope.FLEET:
        return None, ""
    at = f"{workers} managers are alive"
    if found.relation is Relation.SHARED:
        return config.max_concurrent, (
            f"{at}, each with this limit, and they slow each other down: it goes up only as one limit for all"
        )
    if found.relation is Relation.UNKNOWN:
        return config.max_concurrent, (
            f"{at}, each with this limit, and whether they slow each other down is not known: {found.why}"
        )
    together = int(INTERFERENCE.step * found.most)
    return together // workers, (
        f"{at}, and together they have had {found.most} tasks in flight: this far nobody minds"
    )


def told_finding(store: Store) -> ScopeFinding | None:
    """Return what the leader told last; None where nothing was told lately.

    Raises:
        StoreError: if the store cannot be read.
    """
    text = store.posted(_TOPIC, within=3 * _TOLD_AGAIN_SECONDS).get(_KEY)
    try:
        return None if text is None else msgspec.json.decode(text, type=ScopeFinding)
    except msgspec.MsgspecError:
        return None
