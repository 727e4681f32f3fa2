"""What may be asked of what would be: proposals, the throughput curve, and what other configs would bring."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from athena_tuning.control.posted_evidence import posted_evidence
from athena_tuning.load.whatif_run import MOST_RECALLS, Question, WhatIfRun
from athena_tuning.lru_cache import LruCache
from athena_tuning.model import (
    ConfigSet,
    ConfigVersion,
    Mode,
    Proposal,
    QueryMetrics,
    TuningConfig,
    TuningStrategy,
)
from athena_tuning.service.capacity import Curve, curve
from athena_tuning.service.embedded import Embedded
from athena_tuning.service.forecasts import Forecasts
from athena_tuning.service.quality import only_layers
from athena_tuning.service.store_follower import Tail
from athena_tuning.service.store_reads import StoreReads
from athena_tuning.store import Store
from athena_tuning.tuning.estimation.plan_evidence import PlanEvidence
from athena_tuning.tuning.recorded import proposals_on
from athena_tuning.tuning.simulation.what_if import with_config

FORECAST_IS_STALE_SECONDS = 120.0
MOST_ALONE = 4000
"""Recalls of a batch, the newest, that a proposal on it alone rests on."""

CURVE_SECONDS = 20.0
"""How long a throughput curve holds: it rests on thousands of recalls, and fitting it takes 0.1 s."""

NOW = "what is seen now"
"""The source of a sweep that is no sample workload: the newest recalls."""


class ForecastReads(StoreReads):
    """Reads of what the tuner proposes and what simulations tell. Arguments as of ``StoreReads``."""

    def __init__(
        self,
        store: Store,
        tail: Tail,
        embedded: Embedded | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(store, tail, embedded, clock=clock)
        self._forecasts = Forecasts(clock)
        self._curves: LruCache[Hashable, Curve | None] = LruCache(16)
        self._alone: LruCache[tuple[str, int, int], Mapping[str, Proposal]] = LruCache(16)

    def proposals(self) -> Mapping[str, Proposal]:
        """Return by scope what the tuner that leads would set, as it has told everybody."""
        return self._remembered.answer(("proposals", int(self.now)), self.store.proposals)

    def proposal(self, scope: str = "all", source: str | None = None) -> Proposal | None:
        """Return what would be set for a scope; None while no tuner has told.

        Args:
            scope: "all", or a query type; for one that the tuner has not met, what it says of all.
            source: a batch; then what the tuner would set if it had met that alone, worked out here.
        """
        proposals = self.proposals() if source is None else self._on_alone(source)
        return proposals.get(scope) or proposals.get("all")

    def under_strategy(self, strategy: TuningStrategy, at: ConfigVersion) -> TuningConfig:
        """Return the values of a scope under a strategy, as the tuner proposes; pinned values stay.

        Where it has not told, or about another config, only the strategy changes: the tuner brings the values
        later.
        """
        told = self.proposal(at.scope) if at.mode is not Mode.PINNED else None
        values = told.under(strategy, at.config) if told else None
        return replace(values or at.config, strategy=strategy)

    def capacity(self, source: str | None = None) -> Curve | None:
        """Return the throughput curve that the newest recalls speak for; None where they say too little.

        Args:
            source: a batch; then what its recalls speak for, alone.
        """
        size = self.window.summary().count.bit_length()  # twice as many recalls may say twice as much
        question = (source, self.tail.generation, size, self.now // CURVE_SECONDS)
        return self._curves.get_or_compute(question, lambda: curve(self._newest(source, MOST_ALONE)))

    def plan_evidence(self) -> PlanEvidence:
        """Return what the tuner that leads has seen of layers."""
        return self._remembered.answer(("plan evidence", self.now // 10), lambda: posted_evidence(self.store))

    def forecast(self, cases: Mapping[str, TuningConfig], scope: str = "all") -> WhatIfRun:
        """Return the run that tells what configs would bring on the newest recalls; started if need be.

        It works in a process of its own and is shared by all who ask; it is run anew when it is two minutes
        old.

        Args:
            cases: configs for the scope, by name.
            scope: "all" or a query type.

        Raises:
            ValueError: if too many simulations are waiting.
        """
        configs = self.configs()
        told = {
            name: with_config(configs, scope, **self._own(config, scope, configs))
            for name, config in cases.items()
        }
        key = ("forecast", scope, configs.head, tuple((n, repr(c.to_dict())) for n, c in cases.items()))
        return self._forecasts.ask(
            key,
            lambda: Question(configs, self._newest(), cases=told, scope=scope, evidence=self.plan_evidence()),
            stale_after=FORECAST_IS_STALE_SECONDS,
        )

    def sweep(
        self,
        source: str,
        over: str,
        *,
        scope: str = "all",
        speed: float = 1.0,
        plans: Sequence[str] = (),
        question_model: Mapping[str, Any] | None = None,
    ) -> WhatIfRun:
        """Return the run that sweeps one thing over recorded recalls; started if need be.

        Args:
            source: a sample workload, a batch, or ``NOW``.
            over: see ``load.whatif_run.OVER``; "" for what else is tried alone.
            scope: "all" or a query type.
            speed: arrivals so many times as fast.
            plans: plans to try beside: layers joined by "+", after ">" those of a second round.
            question_model: one to try beside, see ``TuningConfig.question_model``.

        Raises:
            ValueError: if a value does not fit, or too many simulations are waiting.
        """
        configs, tried = self.configs(), {words: only_layers(words) for words in plans}
        if question_model is not None:
            tried["by question"] = {"question_model": question_model}
        batch = source if ":" in source else None
        sample = "" if batch or source == NOW else source
        asked = Question(
            configs,
            sample=sample,
            over=over,
            cases={words: with_config(configs, scope, **fields) for words, fields in tried.items()},
            scope=scope,
            speed=speed,
            evidence=self.plan_evidence(),
        )
        now = self.now // 10 if source == NOW else 0
        return self._forecasts.ask(
            ("sweep", source, over, scope, speed, tuple(plans), repr(question_model), configs.head, now),
            lambda: asked if sample else replace(asked, records=self._newest(batch)),
            stale_after=float("inf"),
        )

    def _newest(self, source: str | None = None, most: int = MOST_RECALLS) -> list[QueryMetrics]:
        """Return the newest recalls of a batch; without one, of what the managers that serve have met."""
        if source is None:
            return self.evidence.newest(most)
        return self.window.newest(most, sources={source})

    def _own(self, config: TuningConfig, scope: str, configs: ConfigSet) -> dict[str, Any]:
        """Return a config's values for a scope; a type takes its limit from all types, whatever it says."""
        values = config.to_dict()
        if scope != "all":
            values["max_concurrent"] = configs.default.config.max_concurrent
        return values

    def _on_alone(self, source: str) -> Mapping[str, Proposal]:
        """Return what the tuner would set if it had met one batch alone, worked out once."""
        configs, chosen = self.configs(), frozenset({source})

        def work_out() -> Mapping[str, Proposal]:
            records = self._newest(source, MOST_ALONE)
            proposals = proposals_on(records, configs, self.now) if records else ()
            return {proposal.scope: proposal for proposal in proposals}

        size = self.window.summary(sources=chosen).count
        return self._alone.get_or_compute((source, configs.head, size), work_out)
