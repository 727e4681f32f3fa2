"""The sample memory: what a fictional software team remembers of eighteen months.

One history (services, incidents, decisions, work) is drawn first, from a seed; the notes of all five layers
tell of it, so that the same incident turns up as an episode, a lesson, a runbook, a task and a relation.
People, services and phrases are in the data files under ``fiction/``.

``python -m athena_tuning.samples.sample_memory FILE`` writes it; the same seed gives the same bytes.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

from athena_tuning.recall.items import Item
from athena_tuning.samples.generator.episodes import write_episodes
from athena_tuning.samples.generator.history import History, history
from athena_tuning.samples.generator.knowledge import write_knowledge
from athena_tuning.samples.generator.plans import write_procedures, write_prospects
from athena_tuning.samples.generator.relations import write_relations
from athena_tuning.samples.generator.writer import Writer

SEED = 20260630
"""The seed of ``sample_data/memory.jsonl.gz``."""


def sample_history(seed: int = SEED) -> History:
    """Return what happened to the team, for who wants to ask about it."""
    return history(Random(f"history {seed}"))


def generate(seed: int = SEED) -> Iterator[Item]:
    """Yield the items of the sample memory, oldest first within a layer's own order.

    Args:
        seed: another seed is another history of the same team.

    Examples:
        >>> items = list(generate())
        >>> len(items) > 3500, sorted({item.layer for item in items})
        (True, ['episodic', 'graph', 'procedural', 'prospective', 'semantic'])
    """
    writer = Writer(Random(f"notes {seed}"), sample_history(seed))
    reviews = write_episodes(writer)
    write_knowledge(writer, reviews)
    write_procedures(writer)
    write_prospects(writer)
    write_relations(writer, reviews)
    yield from writer.items


def write_items(path: Path, items: Iterable[Item]) -> int:
    """Write items as gzipped JSON lines, without what is empty; return how many.

    The file holds no name and no time of its making: the same items give the same bytes.
    """
    lines = [
        json.dumps({k: v for k, v in item.to_dict().items() if v not in (None, "", ())}, ensure_ascii=False)
        for item in items
    ]
    text = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(text, 9, mtime=0))
    return len(lines)


if __name__ == "__main__":
    write_items(Path(sys.argv[1]), generate())
