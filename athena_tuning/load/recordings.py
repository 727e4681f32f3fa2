"""What a replay can replay: sample workloads, files of any kind that imports read, and what a store holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from pathlib import Path

from athena_tuning.interchange import Import
from athena_tuning.interchange.export import stored_records
from athena_tuning.load.spec import LoadSpec
from athena_tuning.model import QueryMetrics
from athena_tuning.samples import sample_workloads
from athena_tuning.store import Store

FROM_STORE = {"imported": "what was imported into the store", "live": "what the store's managers measured"}
"""Names of recordings that a store holds, by the source of their records."""

MOST = 500_000
"""Queries of a replay at most; of a longer recording the newest."""


def recorded(name: str, store: Store | None = None, *, files: bool = True) -> list[QueryMetrics]:
    """Return when and what was asked in a recording; nothing else of it is kept.

    Args:
        name: of a sample workload, a path of a file, "imported" or "live".
        store: where the last two are.
        files: whether files are read; not for who takes orders from elsewhere.

    Raises:
        ValueError: if there is no such recording, or nothing in it; the message says what there is.
        OSError: if the file cannot be read.
    """
    records = deque((_bare(m) for m in _records(name, store, files)), maxlen=MOST)
    if not records:
        raise ValueError(f"there is nothing to replay in {name!r:.200}")
    return list(records)


def recorded_for(spec: LoadSpec, store: Store | None = None, *, files: bool = True) -> list[QueryMetrics]:
    """Return what a spec replays; nothing if it is no replay. Raises as ``recorded`` does."""
    return recorded(spec.replay_of, store, files=files) if spec.pattern == "replay" else []


def _records(name: str, store: Store | None, files: bool) -> Iterable[QueryMetrics]:
    known = [sample.name for sample in sample_workloads.list_samples()]
    if name in known:
        return sample_workloads.load_records(name)
    if name in FROM_STORE and store is not None:
        return (m for m in stored_records(store) if m.source == name)
    if files and Path(name).is_file():
        return Import(name).records()
    there = f"{'a file, ' if files else ''}one of {', '.join((*known, *FROM_STORE))}"
    raise ValueError(f"there is no recording {name!r:.200}: name {there}")


def _bare(m: QueryMetrics) -> QueryMetrics:
    return QueryMetrics(
        "", m.query_text, m.query_type, m.timestamp, None, None, None, None, [], {}, None, source=m.source
    )
