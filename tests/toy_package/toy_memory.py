"""A package of somebody else's, which adds one of each kind that can be added."""

from __future__ import annotations

from dataclasses import replace

from athena_tuning.interchange import ColumnMapping, Recogniser, Recognition
from athena_tuning.interchange.recognition import LIKELY, TableReading
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


def recognise(sample):
    if not sample.has("shelf", "lent_at", "held_ms"):
        return None
    mapping = ColumnMapping(start="lent_at", latency="held_ms", query_type="shelf", time_unit="text")
    return Recognition(LIKELY, "columns shelf, lent_at and held_ms", TableReading(mapping))


LOANS = Recogniser("loans", "Loans of a library", recognise)
