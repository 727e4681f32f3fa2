"""Where a recall comes from: a column of every record, from where it is measured to where it is shown."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache


class Source(StrEnum):
    """The kinds of sources.

    What came together, as one batch, has its name behind a colon: ``load:4f1c`` is what one load run asked.
    """

    LIVE = "live"
    """Asked by whoever uses the memory."""
    LOAD = "load"
    """Asked by a load run, and really answered."""
    SAMPLE = "sample"
    """Recorded earlier, from a sample workload."""
    IMPORTED = "imported"
    """Measured by another system, from a file."""
    SIMULATED = "simulated"
    """Computed, never asked."""
    UNKNOWN = "unknown"
    """Rolled up before sources were told apart."""


@dataclass(frozen=True, slots=True)
class SourceBatch:
    """What a store holds of one source beside live recalls: a load run, a sample, a file, a simulated day.

    Attributes:
        source: its kind, and behind a colon its id; without one where it was stored before batches had ids.
        records: recalls that were stored.
        oldest: Unix seconds of the first.
        newest: Unix seconds of the last.
    """

    source: str
    records: int
    oldest: float
    newest: float

    @property
    def kind(self) -> str:
        """What kind of source it is."""
        return kind_of(self.source)

    @property
    def id(self) -> str:
        """Its id among those of its kind."""
        return batch_of(self.source)

    def and_then(self, more: SourceBatch) -> SourceBatch:
        """Return what both are together."""
        return SourceBatch(
            self.source,
            self.records + more.records,
            min(self.oldest, more.oldest),
            max(self.newest, more.newest),
        )


LIVE_ALONE = frozenset({Source.LIVE.value})
"""What objectives, budgets and alerts count."""

MEASURED = frozenset({Source.LIVE.value, Source.LOAD.value})
"""What figures are of unless something else is asked for: all that was really answered here."""

_APART = "apart-"
_current: ContextVar[str] = ContextVar("athena_tuning_source", default=Source.LIVE.value)


def of_batch(kind: Source, batch: str) -> str:
    """Return the source of what belongs to a batch.

    Examples:
        >>> of_batch(Source.LOAD, "4f1c")
        'load:4f1c'
    """
    return f"{kind.value}:{batch}"


def of_load(run_id: str, *, serving: bool) -> str:
    """Return the source of what a load run asks.

    Args:
        run_id: of the run.
        serving: whether the manager that it asks is one that serves; else it was made for the run alone, and
            what it meets says nothing of those that serve.
    """
    return of_batch(Source.LOAD, run_id if serving else f"{_APART}{run_id}")


def kind_of(source: str) -> str:
    """Return a source without its batch.

    Examples:
        >>> kind_of("load:4f1c"), kind_of("live")
        ('load', 'live')
    """
    return source.partition(":")[0]


def batch_of(source: str) -> str:
    """Return the batch of a source; "" where it belongs to none."""
    return source.partition(":")[2]


def is_among(source: str, sources: Collection[str] | None) -> bool:
    """Whether a source is one of some, which may be kinds or batches; None stands for all.

    Examples:
        >>> is_among("load:4f1c", {"load"}), is_among("load:4f1c", {"load:a"}), is_among("live", None)
        (True, False, True)
    """
    return sources is None or source in sources or kind_of(source) in sources


@lru_cache(maxsize=256)
def is_evidence(source: str) -> bool:
    """Whether the managers that serve really met it: what they are tuned by."""
    return kind_of(source) in MEASURED and not batch_of(source).startswith(_APART)


@contextmanager
def recorded_as(source: str) -> Iterator[None]:
    """Have the recalls that are asked within this recorded with a source."""
    token = _current.set(source)
    try:
        yield
    finally:
        _current.reset(token)


def current_source() -> str:
    """Return the source of a recall that begins here and now."""
    return _current.get()
