"""Episodic notes: what happened, told on the day it happened."""

from __future__ import annotations

from athena_tuning.samples.generator.history import DAY, END, START, Event, somebody
from athena_tuning.samples.generator.phrasing import clock_time, day
from athena_tuning.samples.generator.team import PERSON, SERVICES, Service
from athena_tuning.samples.generator.writer import Writer

RELEASES, STANDUPS, REPORTS, MEASUREMENTS, USES = 300, 430, 170, 80, 90
WEEK = 7 * DAY


def write_episodes(writer: Writer) -> dict[str, str]:
    """Write them all; return the id of the note that reviews each incident, by incident."""
    reviews = {event.id: _incident(writer, event) for event in writer.history.incidents}
    for event in writer.history.works:
        _work(writer, event)
    for event in writer.history.decisions:
        _note(writer, "decision_talk", event, event.start - writer.rng.uniform(1, 9) * DAY)
        _note(writer, "decision_made", event, event.start)
    _everyday(writer)
    _handovers(writer)
    return {incident: note for incident, note in reviews.items() if note}


def _incident(writer: Writer, event: Event) -> str | None:
    minutes = round((event.end - event.start) / 60)
    moment = event.start
    _note(writer, "incident_page", event, moment)
    if writer.rng.random() < 0.7:
        _note(writer, "incident_voice", event, moment + 420)
    for part in (0.2, 0.45):
        _note(writer, "incident_look", event, moment + part * minutes * 60)
    _note(writer, "incident_fix", event, moment + 0.8 * minutes * 60)
    _note(writer, "incident_clear", event, event.end, minutes=minutes)
    return _note(writer, "incident_review", event, event.end + writer.rng.uniform(1, 5) * DAY)


def _work(writer: Writer, event: Event) -> None:
    days = max(2, round((event.end - event.start) / DAY))
    _note(writer, "work_start", event, event.start)
    if writer.rng.random() < 0.65:
        _note(writer, "work_blocked", event, event.start + 0.4 * days * DAY)
    for part in (0.6, 0.85)[: writer.rng.randint(1, 2)]:
        _note(writer, "work_review", event, event.start + part * days * DAY)
    if event.end < END:
        _note(writer, "work_done", event, event.end, days=days)


def _note(writer: Writer, kind: str, event: Event, at: float, **more: object) -> str | None:
    at = at // 60 * 60
    facts = {
        **event.facts,
        "who": somebody(writer.rng, "storefront" if kind == "incident_voice" else event.service.project),
        "guess": writer.word("guess", **event.facts),
        "time": clock_time(at),
        "day": day(at),
        **more,
    }
    names = (event.id, event.service.name, event.lead)
    return writer.write("episodic", kind, facts, at=at, speaker=PERSON[event.lead].first, entities=names)


def _everyday(writer: Writer) -> None:
    versions = {service.name: [1, 0] for service in SERVICES}
    plan = (
        ("release", RELEASES),
        ("standup", STANDUPS),
        ("support", REPORTS),
        ("measure", MEASUREMENTS),
        ("used", USES),
    )
    moments = sorted(
        (writer.rng.uniform(START, END) // DAY * DAY + writer.rng.uniform(8, 17.5) * 3600 // 60 * 60, kind)
        for kind, count in plan
        for _ in range(count)
    )
    for at, kind in moments:
        service = writer.rng.choice(SERVICES)
        if kind == "release":
            versions[service.name] = _next_version(writer, versions[service.name])
        _day_note(writer, kind, service, at, ".".join(map(str, versions[service.name])))


def _day_note(writer: Writer, kind: str, service: Service, at: float, version: str) -> None:
    howto = writer.rng.choice(
        [h for h in writer.history.howtos if h.service is service] or list(writer.history.howtos)
    )
    facts = writer.around(service)
    facts |= {
        "change": writer.word("change"),
        "complaint": writer.word("complaint"),
        "other": writer.word("other", **facts),
        "howto": howto.texts["title"],
        "step": writer.rng.randint(1, 4),
        "city": PERSON[facts["who"]].city,
        "version": version,
        "time": clock_time(at),
        "day": day(at),
    }
    writer.write(
        "episodic",
        kind,
        facts,
        at=at,
        speaker=PERSON[facts["who"]].first,
        entities=(service.name, facts["who"]),
    )


def _next_version(writer: Writer, version: list[int]) -> list[int]:
    major, minor = version
    return [major + 1, 0] if writer.rng.random() < 0.08 else [major, minor + 1]


def _handovers(writer: Writer) -> None:
    for week in range(int((END - START) // WEEK)):
        at = START + week * WEEK + 9 * 3600
        facts = writer.around(writer.rng.choice(SERVICES))
        lead = somebody(writer.rng, facts["project"])
        helper = writer.rng.choice([name for name in PERSON if name != lead])
        facts |= {"lead": lead, "helper": helper, "day": day(at)}
        writer.write(
            "episodic",
            "handover",
            facts,
            at=at,
            speaker=PERSON[lead].first,
            entities=(facts["service"], lead, helper),
        )
