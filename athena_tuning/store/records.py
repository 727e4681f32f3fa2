"""Records that stay columns until somebody looks at one: what a tail returns, and what a window gives."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import overload

import numpy as np

from athena_tuning.model import QueryMetrics
from athena_tuning.model.source import is_among
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.profiling.columns.recall_columns import RecallColumns, joined
from athena_tuning.store.encoding import Encoded, encode, encode_columns
from athena_tuning.store.segment import Segment, records_of, shown_texts
from athena_tuning.store.text_policy import TextPolicy, text_id


def encoded(records: Sequence[QueryMetrics], policy: TextPolicy) -> Encoded:
    """Turn a batch into a blob; records that are columns still are taken as they are."""
    if isinstance(records, StoredRecords) and len(records):
        return encode_columns(joined(records.segments), records.texts, policy)
    return encode(records, policy)


def of_sources(segments: Sequence[Segment], sources: Collection[str] | None) -> list[Segment]:
    """Return the records of some kinds of sources, or batches; None: of all."""
    if sources is None:
        return list(segments)
    return [segment.of_sources(lambda source: is_among(source, sources)) for segment in segments]


class StoredRecords(Sequence[QueryMetrics]):
    """A sequence of records over segments. A record is built when it is read, a segment's worth at a time.

    Attributes:
        segments: the columns, for readers that take them as they are.
        texts: query texts by ``text_id``; what is missing was not kept.

    Args:
        segments: in their order; all rows count.
        texts: see above.
    """

    def __init__(self, segments: Sequence[RecallColumns[int]], texts: Mapping[int, str]) -> None:
        self.segments = segments
        self.texts = texts
        self._ends = list(accumulate(segment.n for segment in segments))
        self._built: tuple[int, list[QueryMetrics]] = (-1, [])

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def record_in(
        self,
        profiler: PerformanceProfiler,
        keep: Callable[[str], bool] | None = None,
        *,
        without_versions: Collection[int] = (),
    ) -> None:
        """Put the records into a window, as columns if that can be; only the last ones that it can hold.

        Args:
            profiler: the window.
            keep: whether recalls of a source are wanted; None: all are.
            without_versions: config versions whose recalls are left out.
        """
        if not self:
            return
        whole = joined(self.segments)
        if keep is not None:
            whole = whole.of_sources(keep)
        if without_versions:
            whole = whole.where(~np.isin(whole.config, list(without_versions)))
        whole = whole.where(np.arange(whole.n) >= whole.n - profiler.max_metrics)
        if not whole.n:
            return
        texts = shown_texts(whole, self.texts)
        if not profiler.record_columns(whole, texts):
            for record in whole.records(texts):
                profiler.record_query(record)
            profiler.fold()

    @classmethod
    def of(cls, parts: Iterable[RecallColumns[str]]) -> StoredRecords:
        """Return the records that a window gives as columns, one part after the other."""
        segments: list[RecallColumns[int]] = []
        texts: dict[int, str] = {}
        for part in parts:
            keys = list(map(text_id, part.texts))
            texts.update(zip(keys, part.texts, strict=True))
            segments.append(part.with_text_ids(keys))
        return cls(segments, texts)

    @overload
    def __getitem__(self, at: int) -> QueryMetrics: ...
    @overload
    def __getitem__(self, at: slice) -> list[QueryMetrics]: ...
    def __getitem__(self, at: int | slice) -> QueryMetrics | list[QueryMetrics]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        position = at + len(self) if at < 0 else at
        if not 0 <= position < len(self):
            raise IndexError(f"record {at} of {len(self)}")
        place = bisect_right(self._ends, position)
        built = self._built
        if built[0] != place:
            built = self._built = (place, records_of(self.segments[place], self.texts))
        record: QueryMetrics = built[1][position - self._ends[place]]
        return record

    def __iter__(self) -> Iterator[QueryMetrics]:
        for segment in self.segments:
            yield from records_of(segment, self.texts)
