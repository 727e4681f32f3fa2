"""The cast: people, services and what hangs together. The data is in ``team.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Any


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of the team: ``knows`` is what the others ask them about."""

    name: str
    role: str
    project: str
    city: str
    knows: tuple[str, ...]
    likes: str

    @property
    def first(self) -> str:
        """Return the first name, as notes use it."""
        return self.name.split()[0]


@dataclass(frozen=True, slots=True)
class Service:
    """A service and what it stands on. ``promise_ms`` is the p99 latency it promises."""

    name: str
    project: str
    owner: str
    backup: str
    does: str
    language: str
    stores: tuple[str, ...]
    needs: tuple[str, ...]
    promise_ms: int
    port: int
    setting: str


@dataclass(frozen=True, slots=True)
class Topic:
    """An event topic: who publishes it and who listens."""

    name: str
    publisher: str
    consumers: tuple[str, ...]


def table(name: str) -> dict[str, Any]:
    """Return one of the data files beside this module ("team", "events", …)."""
    return tomllib.loads(resources.files(__package__).joinpath(f"{name}.toml").read_text("utf-8"))


def _record(row: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}


_CAST = table("team")
PEOPLE = tuple(Person(**_record(row)) for row in _CAST["person"])
SERVICES = tuple(Service(**_record(row)) for row in _CAST["service"])
TOPICS = tuple(Topic(**_record(row)) for row in _CAST["topic"])
PERSON = {person.name: person for person in PEOPLE}
SERVICE = {service.name: service for service in SERVICES}


def needed_by(service: str) -> tuple[str, ...]:
    """Return the services that call ``service`` directly.

    Examples:
        >>> needed_by("routing")
        ('dispatch', 'eta')
    """
    return tuple(other.name for other in SERVICES if service in other.needs)
