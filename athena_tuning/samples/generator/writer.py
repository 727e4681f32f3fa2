"""Who writes the notes down: picks a phrase, fills it in, numbers the item, and never writes one twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from random import Random
from typing import Any

from athena_tuning.recall.items import Item
from athena_tuning.samples.generator.history import History, facts_of, somebody
from athena_tuning.samples.generator.phrasing import say, sentences
from athena_tuning.samples.generator.team import Service, table

PHRASES: dict[str, dict[str, list[str]]] = table("phrases")
_TRIES = 8


class Writer:
    """Collects the items of one memory.

    Attributes:
        rng: where all chance comes from.
        history: what the notes tell of.
        items: what was written so far.
    """

    def __init__(self, rng: Random, history: History) -> None:
        self.rng = rng
        self.history = history
        self.items: list[Item] = []
        self._texts: set[str] = set()
        self._numbers: dict[str, int] = {}

    def write(
        self,
        layer: str,
        kind: str,
        facts: Mapping[str, Any],
        *,
        at: float | None = None,
        speaker: str = "",
        scope: str | None = None,
        entities: Iterable[str] = (),
        edges: Iterable[tuple[str, str, str]] = (),
        evidence: Iterable[str] = (),
    ) -> str | None:
        """Write one note and return its id, or None if nothing new was to be said.

        Args:
            layer: the layer it goes to.
            kind: a list of phrases of that layer.
            facts: what the phrases mention.
            at: when it happened, Unix seconds.
            speaker: who wrote it.
            scope: its project; the facts' ``project`` if it is None.
            entities: names in it.
            edges: relations in it.
            evidence: items it rests on.
        """
        for _ in range(_TRIES):
            text = say(self.rng, self.rng.choice(PHRASES[layer][kind]), **facts)
            text = sentences(text)
            if text not in self._texts:
                break
        else:
            return None
        self._texts.add(text)
        number = self._numbers[layer] = self._numbers.get(layer, 0) + 1
        item = Item(
            id=f"{layer}-{number:04}",
            layer=layer,
            text=text,
            scope=scope or facts.get("project"),
            timestamp=at,
            kind=kind,
            speaker=speaker,
            entities=tuple(dict.fromkeys(entities)),
            edges=tuple(edges),
            evidence=tuple(evidence),
        )
        self.items.append(item)
        return item.id

    def word(self, kind: str, **facts: object) -> str:
        """Return one of the small pieces under ``[words]``, filled in."""
        return say(self.rng, self.rng.choice(PHRASES["words"][kind]), **facts)

    def around(self, service: Service) -> dict[str, Any]:
        """Return what a note about the service can mention, people and numbers included."""
        who = somebody(self.rng, service.project)
        return {
            **facts_of(service),
            "lead": service.owner,
            "helper": service.backup,
            "who": who,
            "few": self.rng.randint(1, 6),
            "n": self.rng.randint(3, 29),
            "m": self.rng.randint(4, 90) * 10,
        }
