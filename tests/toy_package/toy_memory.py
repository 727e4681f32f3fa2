"""A package of somebody else's, which adds one of each kind that can be added."""

from __future__ import annotations

import time
from dataclasses import replace
from weakref import WeakValueDictionary

from athena_tuning.interchange import ColumnMapping, Recogniser, Recognition
from athena_tuning.interchange.recognition import LIKELY, TableReading
from athena_tuning.store import MemoryStore, StoreError
from athena_tuning.tuning import Policy
from athena_tuning.tuning.policies.base import decision

BOOKS = {"art": "The shelf of art is on the left", "law": "The shelf of law is upstairs"}


class Shelves:
    """A layer over two sentences."""

    name = "shelves"

    def search(self, query, k, deadline):
        words = str(query).lower()
        return [{"id": shelf, "text": text} for shelf, text in BOOKS.items() if shelf in words][:k]


class OneAtATime(Policy):
    """Goes down to the least limit that the bounds allow, once there is evidence."""

    name = "one-at-a-time"

    def propose(self, evidence, scope="all"):
        before, seen = evidence.incumbent(scope), evidence.fresh
        enough = bool(evidence.telemetry.recalls)
        after = replace(before, max_concurrent=evidence.bounds.min_concurrent) if enough else before
        return decision(self, evidence, scope, after, "one thing at a time", seen)


class Shelf(MemoryStore):
    """A store of this process that is found by its name, as long as somebody has it open."""

    url = None


SHELVES = WeakValueDictionary()


def open_shelf(url, *, text, retention, clock, create):
    """Open the shelf that ``shelf://NAME`` names."""
    name = url.partition("://")[2]
    if not name:
        raise ValueError("shelf://NAME: say which")
    if name == "locked":
        raise PermissionError(f"nobody opens {url}")
    if name not in SHELVES and not create:
        raise StoreError(f"shelf://{name}: there is no such shelf")
    shelf = SHELVES.get(name) or Shelf(text=text, retention=retention, clock=clock or time.time)
    SHELVES[name] = shelf
    return shelf


def recognise(sample):
    if not sample.has("shelf", "lent_at", "held_ms"):
        return None
    mapping = ColumnMapping(start="lent_at", latency="held_ms", query_type="shelf", time_unit="text")
    return Recognition(LIKELY, "columns shelf, lent_at and held_ms", TableReading(mapping))


LOANS = Recogniser("loans", "Loans of a library", recognise)
