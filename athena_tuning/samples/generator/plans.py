"""Procedural notes (how things are done) and prospective ones (what is still to do)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from athena_tuning.samples.generator.history import DAY, END, Event
from athena_tuning.samples.generator.phrasing import day
from athena_tuning.samples.generator.team import SERVICES, Service
from athena_tuning.samples.generator.writer import Writer

REMINDERS, GOALS, TODOS, FLAGS = 120, 60, 200, 24
_QUARTER_ENDS = ("30 June 2026", "30 September 2026", "31 December 2026")


def write_procedures(writer: Writer) -> None:
    """Write how-tos, runbooks of what incidents taught, workflows and checklists."""
    for event in writer.history.howtos:
        _from_event(writer, "procedural", "howto", event, steps=_numbered(event.texts["steps"]))
    for event in writer.history.incidents:
        facts = event.facts
        _from_event(
            writer,
            "procedural",
            "runbook",
            event,
            first=writer.word("first", **facts),
            last=writer.word("last", **facts),
        )
    for service in SERVICES:
        for _ in range(3):
            facts = writer.around(service)
            names = (service.name, facts["need"])
            writer.write("procedural", "workflow", facts, at=END - 200 * DAY, entities=names)
    for event in writer.history.works[::2]:
        _from_event(writer, "procedural", "checklist", event)


def write_prospects(writer: Writer) -> None:
    """Write follow-ups, reminders, goals and tasks; each names the day it is due."""
    for event in writer.history.incidents:
        _from_event(writer, "prospective", "follow_up", event, due=_due(writer, event.end))
    for event in writer.history.decisions[::2]:
        _from_event(writer, "prospective", "revisit", event, due=_due(writer, END))
    for event in writer.history.works[-24:]:
        _from_event(writer, "prospective", "planned", event, due=_due(writer, event.start - 40 * DAY))
    for kind, count in (("remind", REMINDERS), ("goal", GOALS), ("todo", TODOS), ("flag", FLAGS)):
        for _ in range(count):
            _wish(writer, kind, writer.rng.choice(SERVICES))


def _wish(writer: Writer, kind: str, service: Service) -> None:
    at = END - writer.rng.uniform(0, 120) * DAY
    facts: dict[str, Any] = writer.around(service)
    facts[kind] = writer.word(kind, **facts)
    facts["due"] = writer.rng.choice(_QUARTER_ENDS) if kind == "goal" else _due(writer, at)
    who = facts["lead"] if kind == "goal" else facts["who"]
    writer.write("prospective", kind, facts, at=at, speaker=who.split()[0], entities=(service.name, who))


def _from_event(writer: Writer, layer: str, kind: str, event: Event, **more: object) -> None:
    writer.write(
        layer,
        kind,
        {**event.facts, **more},
        at=event.end,
        entities=(event.id, event.service.name) if event.kind != "howto" else (event.service.name,),
    )


def _due(writer: Writer, at: float) -> str:
    return day(at + writer.rng.randint(5, 75) * DAY)


def _numbered(steps: Sequence[str]) -> str:
    return ", ".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
