"""Graph notes: one relation each, as a sentence and as an edge."""

from __future__ import annotations

from collections.abc import Mapping

from athena_tuning.samples.generator.history import END, Event
from athena_tuning.samples.generator.team import PEOPLE, PERSON, SERVICE, SERVICES, TOPICS, Service, needed_by
from athena_tuning.samples.generator.writer import Writer


def write_relations(writer: Writer, reviews: Mapping[str, str]) -> None:
    """Write what hangs together: services, people, incidents, decisions and work."""
    for service in SERVICES:
        _structure(writer, service)
    for person in PEOPLE:
        _edge(writer, "member", person.name, f"the {person.project} project", END)
        for subject in person.knows:
            _edge(writer, "knows", person.name, subject, END)
    for topic in TOPICS:
        _edge(writer, "publishes", topic.publisher, topic.name, END)
        for consumer in topic.consumers:
            _edge(writer, "reads", consumer, topic.name, END)
    for event in writer.history.incidents:
        _incident(writer, event, reviews.get(event.id))
    for event in writer.history.decisions:
        _edge(writer, "decides", event.id, event.service.name, event.end, event)
        _edge(writer, "led", event.lead, event.id, event.end, event)
    for event in writer.history.works:
        _edge(writer, "changes", event.id, event.service.name, event.end, event)
        _edge(writer, "led", event.lead, event.id, event.end, event)
    _later(writer, writer.history.decisions, "supersedes")
    _later(writer, writer.history.incidents, "follows")


def _structure(writer: Writer, service: Service) -> None:
    _edge(writer, "member", service.name, f"the {service.project} project", END)
    _edge(writer, "owns", service.owner, service.name, END)
    for need in service.needs:
        _edge(writer, "needs", service.name, need, END)
    for store in service.stores:
        _edge(writer, "stores", service.name, store, END)


def _incident(writer: Writer, event: Event, review: str | None) -> None:
    _edge(writer, "hit", event.id, event.service.name, event.end, event)
    _edge(writer, "caused", event.id, event.texts["cause"], event.end, event, review)
    _edge(writer, "led", event.lead, event.id, event.end, event)
    if callers := needed_by(event.service.name):
        caller = writer.rng.choice(callers)
        facts = {"a": event.id, "b": caller, "c": event.service.name, "project": event.service.project}
        names = (event.id, caller, event.service.name)
        edges = ((event.id, "spread to", caller), (caller, "depends on", event.service.name))
        writer.write("graph", "spread", facts, at=event.end, entities=names, edges=edges)


def _later(writer: Writer, events: tuple[Event, ...], kind: str) -> None:
    """Relate each event to the one before it that was of the same sort."""
    seen: dict[tuple[str, str], Event] = {}
    for event in events:
        earlier = seen.get((event.service.project, event.sort))
        if earlier:
            _edge(writer, kind, event.id, earlier.id, event.end, event)
        seen[event.service.project, event.sort] = event


_WORDS = {
    "member": "part of",
    "owns": "owns",
    "needs": "depends on",
    "stores": "stores in",
    "knows": "knows",
    "publishes": "publishes",
    "reads": "reads",
    "hit": "affected",
    "caused": "caused by",
    "led": "led",
    "decides": "concerns",
    "supersedes": "supersedes",
    "changes": "changed",
    "follows": "related to",
}


def _edge(
    writer: Writer,
    kind: str,
    a: str,
    b: str,
    at: float,
    event: Event | None = None,
    review: str | None = None,
) -> None:
    known = event.service if event else SERVICE.get(a) or SERVICE.get(b)
    project = known.project if known else PERSON[a].project
    writer.write(
        "graph",
        kind,
        {"a": a, "b": b, "project": project},
        at=at,
        entities=(a, b),
        edges=((a, _WORDS[kind], b),),
        evidence=(review,) if review else (),
    )
