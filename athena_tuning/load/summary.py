"""What a load run came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

from athena_tuning.frames import Records
from athena_tuning.load.blocks import Block, Tally
from athena_tuning.load.spec import LoadSpec

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class LoadSummary:
    """A run in figures. Latencies are ms; NaN where nothing was measured.

    Attributes:
        id: the run.
        spec: what was asked for.
        state: "running", "paused", "stopped", "finished", or "failed" where the load itself broke.
        started: Unix seconds; None before the start.
        elapsed_s: seconds that it ran, pauses left out.
        offered: recalls that were due.
        finished: recalls that ended, errors included.
        offered_per_s: recalls due a second.
        achieved_per_s: recalls ended without an error, a second.
        mean_ms: mean latency, from the moment a recall was due; so are the percentiles.
        service_p50_ms: median from the call itself: what the manager alone took.
        service_p99_ms: its p99.
        late_p99_ms: p99 of how late recalls were called. Above a few ms the run had more outstanding than
            it may, or the machine was full.
        errors: recalls that raised or that no layer answered.
        partials: answers that lack a layer.
        cache_hits: answers from the cache.
        cache_known: answers that told whether they were from the cache.
        errors_by_name: errors by their name.
        config_versions: recalls by the config version in force.
        blocks: the run in twenty to forty stretches of time, for comparisons.
        block_s: their length in seconds.
    """

    id: str
    spec: LoadSpec
    state: str
    started: float | None
    elapsed_s: float
    offered: int
    finished: int
    offered_per_s: float
    achieved_per_s: float
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    p999_ms: float
    service_p50_ms: float
    service_p99_ms: float
    late_p99_ms: float
    errors: int
    partials: int
    cache_hits: int
    cache_known: int
    errors_by_name: Mapping[str, int]
    config_versions: Mapping[int, int]
    blocks: tuple[Block, ...] = field(repr=False)
    block_s: float = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain JSON types."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return values | {
            "spec": self.spec.to_dict(),
            "errors_by_name": dict(self.errors_by_name),
            "config_versions": {str(version): n for version, n in self.config_versions.items()},
            "blocks": [block.to_dict() for block in self.blocks],
        }

    def to_pandas(self) -> pd.DataFrame:
        """Return the figures as a table of one row; ``RunArchive.newest().to_pandas()`` has one a run.

        Columns have the names of the attributes and of the spec's as ``spec_…``; ``started`` is
        ``datetime64[us, UTC]``. The blocks are left out.

        Raises:
            MissingExtra: if pandas is not installed.
        """
        return Records(LoadSummary, [self]).to_pandas()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Make a summary from plain JSON types.

        Raises:
            ValueError: if a value does not fit.
            KeyError: if one is missing.
        """
        return cls(
            **{
                **values,
                "spec": LoadSpec.from_dict(values["spec"]),
                "config_versions": {int(version): n for version, n in values["config_versions"].items()},
                "blocks": tuple(Block.from_dict(block) for block in values["blocks"]),
            }
        )


def summarize(
    run_id: str, spec: LoadSpec, state: str, started: float | None, elapsed: float, offered: int, tally: Tally
) -> LoadSummary:
    """Return the figures of a run from its tally."""
    whole = tally.total()
    finished, errors = whole.counts["finished"], whole.counts["errors"]
    p50, p90, p95, p99, p999 = whole.latency.quantiles((0.5, 0.9, 0.95, 0.99, 0.999)).tolist()
    service_p50, service_p99 = tally.service().quantiles((0.5, 0.99)).tolist()
    return LoadSummary(
        id=run_id,
        spec=spec,
        state=state,
        started=started,
        elapsed_s=elapsed,
        offered=offered,
        finished=finished,
        offered_per_s=offered / elapsed if elapsed > 0 else 0.0,
        achieved_per_s=(finished - errors) / elapsed if elapsed > 0 else 0.0,
        mean_ms=whole.latency.mean,
        p50_ms=p50,
        p90_ms=p90,
        p95_ms=p95,
        p99_ms=p99,
        p999_ms=p999,
        service_p50_ms=service_p50,
        service_p99_ms=service_p99,
        late_p99_ms=tally.late().quantile(0.99),
        errors=errors,
        partials=whole.counts["partials"],
        cache_hits=whole.counts["cache_hits"],
        cache_known=whole.counts["cache_known"],
        errors_by_name=tally.errors(),
        config_versions=tally.versions(),
        blocks=tally.blocks(),
        block_s=tally.block_s,
    )
