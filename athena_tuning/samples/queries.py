"""What is asked of the sample memory: queries of all types, each about something that is in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random

from athena_tuning.model import QUERY_TYPES
from athena_tuning.recall.classification import classify
from athena_tuning.samples.generator.history import Event, History, somebody
from athena_tuning.samples.generator.phrasing import say
from athena_tuning.samples.generator.team import PERSON, TOPICS
from athena_tuning.samples.generator.writer import PHRASES
from athena_tuning.samples.sample_memory import SEED, sample_history

EACH = 120
"""Different queries of each type."""

_TRIES = 20


@dataclass(frozen=True, slots=True)
class Query:
    """One question and the type that the classifier gives it."""

    text: str
    query_type: str


def sample_queries(seed: int = SEED, each: int = EACH) -> Mapping[str, tuple[Query, ...]]:
    """Return ``each`` different queries of each type about the sample memory with the same seed.

    Raises:
        ValueError: if the memory does not give rise to so many.

    Examples:
        >>> [len(queries) for queries in sample_queries(each=5).values()]
        [5, 5, 5, 5, 5, 5, 5]
    """
    history = sample_history(seed)
    rng = Random(f"queries {seed}")
    return {query_type: _of_type(rng, history, query_type, each) for query_type in QUERY_TYPES}


def questions_from(lines: Iterable[str]) -> dict[str, list[str]]:
    """Return questions by the type that the classifier gives them, each once; empty lines are passed over.

    Examples:
        >>> questions_from(["How do I deploy?", "", "Who owns billing?", "How do I deploy?"])
        {'procedural': ['How do I deploy?'], 'factual': ['Who owns billing?']}
    """
    by_type: dict[str, list[str]] = {}
    for text in dict.fromkeys(line.strip() for line in lines):
        if text:
            by_type.setdefault(classify(text), []).append(text)
    return by_type


def _of_type(rng: Random, history: History, query_type: str, each: int) -> tuple[Query, ...]:
    texts: dict[str, None] = {}
    for _ in range(each * _TRIES):
        if len(texts) == each:
            return tuple(Query(text, query_type) for text in texts)
        text = say(rng, rng.choice(PHRASES["query"][query_type]), **_facts(rng, history))
        if classify(text) == query_type:  # a name or a title can hold a word of another type
            texts[text] = None
    raise ValueError(f"the sample memory gives rise to {len(texts)} {query_type} queries, not to {each}")


def _facts(rng: Random, history: History) -> dict[str, object]:
    """Return facts about an incident, and about other events at the same service where there are any."""
    incident = rng.choice(history.incidents)
    facts: dict[str, object] = {}
    for events in (history.decisions, history.works, history.howtos):
        near = [event for event in events if event.service is incident.service]
        facts |= rng.choice(near or events).facts
    howto = facts["title"]
    work: Event = rng.choice([w for w in history.works if w.service is incident.service] or history.works)
    facts |= {"title": work.texts["title"], "howto": howto, **incident.facts}
    person = PERSON[somebody(rng, incident.service.project)]
    facts |= {"first": person.first, "knows": rng.choice(person.knows), "topic": rng.choice(TOPICS).name}
    words = ("complaint", "flag", "figure", "thing", "goal", "todo")
    return facts | {word: say(rng, rng.choice(PHRASES["words"][word]), **facts) for word in words}
