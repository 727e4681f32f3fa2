"""Alerts: which rules of ``situation`` have begun to hold and which are over, kept as events of the store.

A rule that holds for ``BEGINS_SECONDS`` begins an alert; one that has not held for ``ENDS_SECONDS`` ends it,
so that neither a blip nor a gap tells twice. What is open is read from the store's events: a process that is
started anew goes on where another stopped, and several that watch the same store begin an alert once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from athena_tuning.service.facts import Situation
from athena_tuning.store import Store, StoreEvent

BEGINS_SECONDS, ENDS_SECONDS = 15.0, 120.0
LOOK_BACK_SECONDS = 30 * 86_400.0
_BEGAN, _ENDED = "alert", "alert over"

Level = Literal["warn", "bad"]


@dataclass(frozen=True, slots=True)
class Alert:
    """A rule that held, or holds.

    Attributes:
        id: the same for all who watch the store.
        rule: which one.
        level: how bad it was when it began.
        began: Unix seconds since which the rule held.
        sentence: what it said then.
        ended: Unix seconds since which it does not hold any more; None while it does.
    """

    id: str
    rule: str
    level: str
    began: float
    sentence: str
    ended: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return asdict(self)


def is_alert(event: StoreEvent) -> bool:
    """Whether an event of the store tells of an alert."""
    return event.kind.partition(":")[0] in {_BEGAN, _ENDED}


def alerts_of(events: Iterable[StoreEvent]) -> list[Alert]:
    """Return the alerts that events tell of, the newest first.

    Args:
        events: of the store, in any order; others are passed over.

    Examples:
        >>> told = [StoreEvent(10.0, "alert:bad:slower", "p99 is 428 ms."),
        ...         StoreEvent(70.0, "alert over:10.0:slower", "")]
        >>> [(alert.rule, alert.began, alert.ended) for alert in alerts_of(told)]
        [('slower', 10.0, 70.0)]
    """
    found: dict[str, Alert] = {}
    for event in sorted(events, key=lambda event: event.time):
        what, _, rest = event.kind.partition(":")
        detail, _, rule = rest.partition(":")
        if what == _BEGAN:
            name = id_of(rule, event.time)
            found.setdefault(name, Alert(name, rule, detail, event.time, event.text))
        elif what == _ENDED and (name := f"{rule}@{detail}") in found:
            found[name] = replace(found[name], ended=event.time)
    return sorted(found.values(), key=lambda alert: -alert.began)


def id_of(rule: str, began: float) -> str:
    """Return an alert's id.

    Examples:
        >>> id_of("slower", 12.34)
        'slower@12.3'
    """
    return f"{rule}@{began:.1f}"


class AlertWatch:
    """Turns what the rules say, look after look, into alerts that begin and end.

    Not thread-safe: one thread looks.

    Args:
        store: keeps them.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._holds_since: dict[str, float] = {}
        self._gone_since: dict[str, float] = {}

    def look(self, told: Sequence[Situation], now: float) -> list[Alert]:
        """Take note of what the rules say now; return the alerts that have begun or ended by it.

        Args:
            told: what applies now (``situation.applying``); what is quiet or good is no alert.
            now: Unix seconds.

        Raises:
            StoreError: if the store cannot be read or written: the next look does it.
        """
        holding = {said.rule: said for said in told if said.level in ("warn", "bad")}
        open_now = {alert.rule: alert for alert in self.known(now) if alert.ended is None}
        self._holds_since = {rule: self._holds_since.get(rule, now) for rule in holding}
        self._gone_since = {rule: self._gone_since.get(rule, now) for rule in open_now if rule not in holding}
        begun = [
            self._begin(said, self._holds_since[rule])
            for rule, said in holding.items()
            if rule not in open_now and now - self._holds_since[rule] >= BEGINS_SECONDS
        ]
        over = [
            self._end(open_now[rule], since)
            for rule, since in self._gone_since.items()
            if now - since >= ENDS_SECONDS
        ]
        return begun + over

    def known(self, now: float) -> list[Alert]:
        """Return the alerts of the last thirty days, the newest first."""
        return alerts_of(self._store.events(since=now - LOOK_BACK_SECONDS))

    def _begin(self, said: Situation, since: float) -> Alert:
        began = round(since, 1)
        name = id_of(said.rule, began)
        event = StoreEvent(began, f"{_BEGAN}:{said.level}:{said.rule}", said.sentence)
        self._store.append_event(event, key=f"alert {name}")
        return Alert(name, said.rule, said.level, began, said.sentence)

    def _end(self, alert: Alert, since: float) -> Alert:
        event = StoreEvent(since, f"{_ENDED}:{alert.began:.1f}:{alert.rule}", f"Over: {alert.sentence}")
        self._store.append_event(event, key=f"over {alert.id}")
        return replace(alert, ended=since)


def in_json(alert: Alert) -> Mapping[str, Any]:
    """Return what a webhook is told of an alert."""
    return {**alert.to_dict(), "state": "over" if alert.ended is not None else "holds"}
