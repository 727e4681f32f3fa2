"""The figures of a file before anything of it is stored: what it would say under the reading it is given."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from athena_tuning.interchange.report import ImportReport
from athena_tuning.model import QueryMetrics
from athena_tuning.profiling.histogram import LatencyHistogram

_BATCH = 4096


@dataclass(slots=True)
class Survey:
    """Figures of the queries that were read.

    Attributes:
        report: how many came, and what was left out.
        whole: whether the file was read to its end.
        latencies: all that are known.
        succeeded: queries that are known to have.
        failed: queries that are known to have.

    Example:
        >>> made = QueryMetrics("q", "", "a", 5.0, 12.0, None, None, None, [], {}, True)
        >>> seen = Survey(ImportReport())
        >>> seen.take([made, made._replace(timestamp=7.0, latency_ms=None)])
        >>> seen.known, seen.count, seen.succeeded, round(seen.quantile_ms(0.5))
        (1, 2, 2, 12)
    """

    report: ImportReport
    whole: bool = True
    latencies: LatencyHistogram = field(default_factory=LatencyHistogram)
    count: int = 0
    succeeded: int = 0
    failed: int = 0
    _batch: list[float] = field(default_factory=list)

    def take(self, records: Iterable[QueryMetrics]) -> None:
        """Count records."""
        batch = self._batch
        for record in records:
            self.count += 1
            if (ms := record.latency_ms) is not None:
                batch.append(ms)
            if record.success is not None:
                if record.success:
                    self.succeeded += 1
                else:
                    self.failed += 1
            if len(batch) >= _BATCH:
                self._flush()
        self._flush()

    @property
    def known(self) -> int:
        """Queries whose latency is known."""
        return self.latencies.count

    @property
    def length_s(self) -> float:
        """Seconds from the first beginning of a query to the last."""
        report = self.report
        return 0.0 if report.first is None or report.last is None else report.last - report.first

    @property
    def at_once(self) -> float | None:
        """Queries under way at once that the file implies: their rate times their mean latency."""
        if self.count < 2 or not self.known or self.length_s <= 0:
            return None
        return (self.count - 1) / self.length_s * self.latencies.mean / 1e3

    def quantile_ms(self, q: float) -> float | None:
        """Return a percentile of the latencies in ms (to 1.6 %); None where none is known."""
        ms = self.latencies.quantile(q)
        return None if math.isnan(ms) else ms

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain JSON types."""
        report = self.report
        return {
            "whole": self.whole,
            "records": self.count,
            "bad": report.bad,
            "passed": report.passed,
            "latency_known": self.known,
            "p50_ms": self.quantile_ms(0.5),
            "p99_ms": self.quantile_ms(0.99),
            "succeeded": self.succeeded,
            "failed": self.failed,
            "at_once": self.at_once,
            "first": report.first,
            "last": report.last,
        }

    def _flush(self) -> None:
        if self._batch:
            self.latencies.add_many(self._batch)
            self._batch.clear()
