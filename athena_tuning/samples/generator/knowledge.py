"""Semantic notes: what is known, whenever it was learned."""

from __future__ import annotations

from collections.abc import Mapping

from athena_tuning.samples.generator.history import END, Event
from athena_tuning.samples.generator.phrasing import day, listed
from athena_tuning.samples.generator.team import PEOPLE, SERVICE, SERVICES, TOPICS, Service, needed_by
from athena_tuning.samples.generator.writer import Writer

FACTS = 170
_EACH_SERVICE = ("does", "owner", "promise", "stores", "setting", "port", "peak", "coverage")


def write_knowledge(writer: Writer, reviews: Mapping[str, str]) -> None:
    """Write them all; ``reviews`` holds the note that each lesson of an incident rests on."""
    for service in SERVICES:
        _service(writer, service)
    for person in PEOPLE:
        for kind in ("person", "person", "quota"):
            facts = writer.around(
                writer.rng.choice([s for s in SERVICES if person.name in (s.owner, s.backup)] or SERVICES)
            )
            facts |= {
                "who": person.name,
                "first": person.first,
                "role": person.role,
                "project": person.project,
                "city": person.city,
                "likes": person.likes,
                "knows": listed(person.knows),
            }
            writer.write("semantic", kind, facts, at=END, entities=(person.name,))
    for event in writer.history.incidents:
        evidence = [reviews[event.id]] if event.id in reviews else []
        for kind in ("lesson", "root"):
            _from_event(writer, kind, event, evidence)
    for event in writer.history.decisions:
        _from_event(writer, "decision", event)
    for event in writer.history.works:
        if event.end < END:
            _from_event(writer, "result", event)
    _vocabulary(writer)


def _service(writer: Writer, service: Service) -> None:
    facts = writer.around(service) | {"stores": listed(service.stores), "n0": writer.rng.randint(58, 96)}
    for kind in _EACH_SERVICE:
        writer.write("semantic", kind, facts, at=END, entities=(service.name,))
    if service.needs:
        facts["needs"] = listed(service.needs)
        writer.write("semantic", "needs", facts, at=END, entities=(service.name, *service.needs))
    if callers := needed_by(service.name):
        facts["callers"] = listed(callers)
        writer.write("semantic", "callers", facts, at=END, entities=(service.name, *callers))
    incidents = [event for event in writer.history.incidents if event.service is service]
    if incidents:
        facts |= {
            "count": len(incidents),
            "cause": incidents[-1].texts["cause"],
            "ids": listed([event.id for event in incidents]),
            "weak": incidents[-1].texts["cause"],
        }
        for kind in ("pattern", "knowledge"):
            writer.write("semantic", kind, facts, at=END, entities=(service.name,))


def _from_event(writer: Writer, kind: str, event: Event, evidence: list[str] | None = None) -> None:
    writer.write(
        "semantic",
        kind,
        {**event.facts, "day": day(event.end)},
        at=event.end,
        entities=(event.id, event.service.name),
        evidence=evidence or (),
    )


def _vocabulary(writer: Writer) -> None:
    for topic in TOPICS:
        service = SERVICE[topic.publisher]
        facts = {**writer.around(service), "topic": topic.name, "callers": listed(topic.consumers)}
        for _ in range(2):
            writer.write("semantic", "topic", facts, at=END, entities=(topic.name, service.name))
    for _ in range(FACTS):
        service = writer.rng.choice(SERVICES)
        facts = writer.around(service) | {"figure": writer.word("figure")}
        writer.write("semantic", "fact", facts, at=END, entities=(service.name,))
    for _ in range(24):
        writer.write("semantic", "term", {"term": writer.word("term")}, at=END, scope="delivery")
