"""What happened to the team in eighteen months: the one truth that notes of every layer tell of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

from athena_tuning.samples.generator.team import PEOPLE, PERSON, SERVICES, Service, table

START = datetime(2025, 1, 6, tzinfo=UTC).timestamp()
END = datetime(2026, 6, 30, tzinfo=UTC).timestamp()
"""The time that the notes cover, in Unix seconds."""

DAY = 86400.0
_EVENTS = table("events")
_SMALL = (3, 4, 5, 6, 8, 10, 12, 15, 20, 25)
_LARGE = (40, 60, 80, 120, 150, 240, 320, 500)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened (or is a way of doing things): told once here, repeated by many notes.

    Attributes:
        id: its name in the notes ("INC-104", "ADR-017", "LK-2210").
        kind: "incident", "decision", "work" or "howto".
        sort: events with the same sort repeat each other in other services.
        service: where it happened.
        start: Unix seconds.
        end: Unix seconds.
        lead: who led it.
        helper: who helped.
        texts: its sentences by role ("symptom", "root", …), filled in.
    """

    id: str
    kind: str
    sort: str
    service: Service
    start: float
    end: float
    lead: str
    helper: str
    texts: Mapping[str, Any]

    @property
    def facts(self) -> dict[str, Any]:
        """Return what a note about it can mention."""
        return {
            **facts_of(self.service),
            "id": self.id,
            "lead": self.lead,
            "helper": self.helper,
            **self.texts,
        }


@dataclass(frozen=True, slots=True)
class History:
    """All events, each kind in the order of time."""

    incidents: tuple[Event, ...]
    decisions: tuple[Event, ...]
    works: tuple[Event, ...]
    howtos: tuple[Event, ...]


def facts_of(service: Service) -> dict[str, Any]:
    """Return what any note about the service can mention."""
    return {
        "service": service.name,
        "project": service.project,
        "owner": service.owner.split()[0],
        "backup": service.backup.split()[0],
        "does": service.does,
        "language": service.language,
        "store": service.stores[0],
        "need": service.needs[0] if service.needs else service.stores[-1],
        "promise": service.promise_ms,
        "port": service.port,
        "setting": service.setting,
    }


def history(rng: Random) -> History:
    """Return what happened; the same for the same state of ``rng``."""
    number = _counter(101)
    incidents = _happen(rng, "incident", _EVENTS["cause"], 64, lambda: f"INC-{number()}", 0.05)
    number = _counter(11)
    decisions = _happen(rng, "decision", _EVENTS["choice"], 56, lambda: f"ADR-{number():03}", 10)
    number = _counter(2101, rng)
    works = _happen(rng, "work", _EVENTS["work"], 72, lambda: f"LK-{number()}", 30)
    number = _counter(1)
    howtos = _happen(rng, "howto", _EVENTS["howto"], 230, lambda: f"HOW-{number():03}", 1)
    return History(incidents, decisions, works, howtos)


def _happen(
    rng: Random, kind: str, rows: list[dict[str, Any]], count: int, name: Callable[[], str], days: float
) -> tuple[Event, ...]:
    """Pair rows with services, each pair once, spread over the whole time."""
    pairs = [
        (row, service) for row in rows for service in SERVICES if service.needs or "{need}" not in str(row)
    ]
    chosen = rng.sample(pairs, count)
    starts = sorted(_working_hour(rng, START, END - 5 * DAY) for _ in chosen)
    return tuple(
        _event(rng, kind, name(), row, service, start, days)
        for (row, service), start in zip(chosen, starts, strict=True)
    )


def _event(
    rng: Random, kind: str, name: str, row: dict[str, Any], service: Service, start: float, days: float
) -> Event:
    small, large = rng.choice(_SMALL), rng.choice(_LARGE)
    facts = {**facts_of(service), "n": small, "m": large}
    texts = {role: _filled(value, facts) for role, value in row.items()}
    if kind == "incident":
        texts |= {"cause": texts.pop("name"), "severity": rng.choice((1, 2, 2, 3, 3))}
    lead = service.owner if rng.random() < 0.6 else service.backup
    helper = rng.choice([p.name for p in PEOPLE if p.name != lead and _near(p.project, service.project)])
    end = start + days * DAY * rng.uniform(0.3, 1.7)
    return Event(
        name,
        kind,
        next(iter(row.values())),
        service,
        start,
        end,
        lead,
        helper,
        {**texts, "n": small, "m": large},
    )


def _filled(value: Any, facts: Mapping[str, Any]) -> Any:
    return [_filled(part, facts) for part in value] if isinstance(value, list) else value.format(**facts)


def _near(project: str, other: str) -> bool:
    return project == other or "platform" in (project, other)


def _working_hour(rng: Random, first: float, last: float) -> float:
    moment = rng.uniform(first, last)
    hour = min(23.9, max(0.0, rng.gauss(12.5, 3.5)))
    return float(moment // DAY * DAY + hour * 3600 // 60 * 60)


def _counter(first: int, rng: Random | None = None) -> Callable[[], int]:
    value = first - 1

    def following() -> int:
        nonlocal value
        value += 1 if rng is None else rng.randint(1, 19)
        return value

    return following


def somebody(rng: Random, project: str | None = None) -> str:
    """Return one of the team, more often of the project where one is named."""
    return rng.choice(
        [p.name for p in PEOPLE if project is None or _near(p.project, project)] or list(PERSON)
    )
