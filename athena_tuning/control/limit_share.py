"""A worker's share of the fleet's limit: it says what it wants, obeys what it is given, and may share out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

from athena_tuning.control.lease import Leadership
from athena_tuning.control.limit_shares import FLOOR, Demand, DemandMeter, Load, ShareKeeper, Shares
from athena_tuning.model import LimitScope, TuningConfig
from athena_tuning.store import Store

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.04
"""From one look to the next. Arithmetic: what somebody wants is told, shared out and obeyed within three."""

LEASE = "limit shares"
RENEW_SECONDS = 1.0
HEARTBEAT_SECONDS = 1.0
NEWS_SLOTS, NEWS_SHARE = 0.5, 0.25
"""Demand is told when it has changed by so many slots, and so much of itself. Judgement."""

_DEMANDS, _SHARES, _KEY = "limit demands", "limit shares", "fleet"
_KNOWN_SECONDS = 60.0
"""Reports older than this by the store's clock are not read; younger ones are judged by their beat."""

T = TypeVar("T")
D = TypeVar("D")


class LimitShare:
    """Keeps the number of slots that a worker may use, without a config version for each change of it.

    In scope "manager" that is the limit itself. In scope "fleet" it is what the worker that shares out has
    told, and stays so while the store is down; ``FLOOR`` until something was told.

    Args:
        store: where demands and shares are told.
        worker_id: whose share.
        config: returns the config in force for all types.
        load: returns what holds and wants slots here.
        take: called with the slots whenever they have changed in scope "fleet", and once more after it.
        monotonic: seconds that never jump.

    Attributes:
        told: the newest shares that were told.
    """

    def __init__(
        self,
        store: Store,
        worker_id: str,
        config: Callable[[], TuningConfig],
        load: Callable[[], Load],
        take: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.told = Shares()
        self.leadership = Leadership(store, worker_id, LEASE, "the sharing of the limit", monotonic)
        self._store = store
        self._worker_id = worker_id
        self._config = config
        self._load = load
        self._take = take
        self._monotonic = monotonic
        self._share = FLOOR
        self._meter = DemandMeter()
        self._keeper: ShareKeeper | None = None
        self._posted: Demand | None = None
        self._posted_at = self._renewed_at = -1e9
        self._shared = False

    def slots(self, config: TuningConfig) -> int:
        """Return how many slots this worker may use under a config."""
        if config.limit_scope is LimitScope.MANAGER:
            return config.max_concurrent
        return max(FLOOR, min(self._share, config.max_concurrent))

    def look(self) -> None:
        """Measure, tell what is wanted, share out where this worker does so, and take what was given.

        Raises:
            StoreError: if the store does not answer; the share stays.
        """
        config = self._config()
        if config.limit_scope is LimitScope.MANAGER:
            self._leave()
            return
        if not self._shared:
            self._shared = True
            self._take()
        now = self._monotonic()
        demand = self._measured(config, now)
        if self._is_news(demand, now):
            self._post(demand, now)
        if now - self._renewed_at >= RENEW_SECONDS:
            self.leadership.renew()
            self._renewed_at = now
        lease = self.leadership.held
        if lease is None:
            self._keeper = None
        else:
            self._share_out(config.max_concurrent, demand, lease.number, now)
        self._obey(config)

    def end(self) -> None:
        """Give the share back; if the store is down, the others have it once the lease has run out."""
        if not self._shared:
            return
        self.leadership.release()
        if self._posted is not None:
            gone = Demand(0.0, 0.0, 0, self._posted.beat + 1, gone=True)
            self._store.post(_DEMANDS, self._worker_id, _written(gone))

    def _leave(self) -> None:
        """Have slots of one's own again."""
        if not self._shared:
            return
        self.end()
        self._shared, self._share, self._posted, self._keeper = False, FLOOR, None, None
        self.told, self._renewed_at = Shares(), -1e9
        self._take()

    def _measured(self, config: TuningConfig, now: float) -> Demand:
        return self._meter.sample(self._load(), self.slots(config), now)

    def _is_news(self, demand: Demand, now: float) -> bool:
        last = self._posted
        if last is None or now - self._posted_at >= HEARTBEAT_SECONDS:
            return True
        changes = (demand.wanted or 0.0, last.wanted or 0.0), (demand.busy, last.busy)
        return any(abs(at - before) > max(NEWS_SLOTS, NEWS_SHARE * before) for at, before in changes)

    def _post(self, demand: Demand, now: float) -> None:
        self._store.post(_DEMANDS, self._worker_id, _written(demand))
        self._posted, self._posted_at = demand, now

    def _share_out(self, budget: int, own: Demand, number: int, now: float) -> None:
        if self._keeper is None:
            self._keeper = ShareKeeper(told=told_shares(self._store))
        before = self._keeper.told
        reports = told_demands(self._store) | {self._worker_id: own}
        told = self._keeper.step(budget, reports, number, now)
        if told is not before:
            self._store.post(_SHARES, _KEY, _written(told))

    def _obey(self, config: TuningConfig) -> None:
        self.told = told = told_shares(self._store)
        if self._keeper is not None and told != self._keeper.told:
            self._store.post(_SHARES, _KEY, _written(self._keeper.told))  # it was lost, or an older one came
            self.told = told = self._keeper.told
        share = told.by_worker.get(self._worker_id, self._share)
        if share != self._share:
            self._share = share
            self._take()


def told_shares(store: Store) -> Shares:
    """Return the shares that were told last.

    Raises:
        StoreError: if the store cannot be read.
    """
    text = store.posted(_SHARES).get(_KEY)
    return Shares() if text is None else _read(text, Shares, Shares())


def told_demands(store: Store) -> dict[str, Demand]:
    """Return what workers said lately of their slots.

    Raises:
        StoreError: if the store cannot be read.
    """
    posted = store.posted(_DEMANDS, within=_KNOWN_SECONDS)
    read = {name: _read(text, Demand, None) for name, text in posted.items()}
    return {name: demand for name, demand in read.items() if demand is not None}


def _written(told: Demand | Shares) -> str:
    return msgspec.json.encode(told).decode()


def _read(text: str, kind: type[T], default: D) -> T | D:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError as exc:
        logger.warning("what the store holds of the fleet's limit cannot be read: %s", exc)
        return default
