"""Notes in the decision log which layers are left out because they are down, until they are asked again."""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from athena_tuning.control.layer_health import posted_health
from athena_tuning.control.lease import TuningLease
from athena_tuning.model import Action, BreakerState, Decision, LayerHealth, Reason, TuningConfig
from athena_tuning.store import Store

POLICY = "breaker"
"""Who decides this: the breakers of the workers, each for itself and in every mode."""

WELL_SECONDS = 10.0
"""A layer has to be well for so long, so that one which comes and goes does not fill the log."""


@dataclass(frozen=True, slots=True)
class _Report:
    """What the workers that are alive say of one layer."""

    layer: str
    by_worker: dict[str, LayerHealth]

    @property
    def down(self) -> list[LayerHealth]:
        return [of for of in self.by_worker.values() if of.state is not BreakerState.CLOSED]

    def is_well(self, now: float) -> bool:
        return not self.down and all(now - of.since >= WELL_SECONDS for of in self.by_worker.values())


class IsolationLog:
    """Makes a decision of it when breakers isolate a layer, and another one when they take that back.

    Breakers act within milliseconds and ask nobody. What they did is noted once for all workers, by the one
    that leads, from what each of them posts of its layers.

    Args:
        store: has the posts and the decisions.
        lease: says whether this worker leads.
        config: returns the config in force for all types.
        clock: Unix seconds.
    """

    def __init__(
        self,
        store: Store,
        lease: TuningLease,
        config: Callable[[], TuningConfig],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._lease = lease
        self._config = config
        self._clock = clock
        self._isolated: dict[str, Decision] | None = None

    def look(self) -> None:
        """Note what has changed since the last look, if this worker leads.

        Raises:
            StoreError: if the store cannot be asked; the next look notes it.
        """
        if self._lease.held is None:
            self._isolated = None  # another one goes on with it
            return
        if self._isolated is None:
            self._isolated = _isolated(self._store)
        for report in _reports(self._store):
            made = self._isolated.get(report.layer)
            if report.down and made is None:
                decision = self._isolates(report)
                self._store.append_decision(decision)
                self._isolated[report.layer] = decision
            elif made is not None and report.is_well(self._clock()):
                self._store.append_decision(self._takes_back(made, report))
                del self._isolated[report.layer]

    def _isolates(self, report: _Report) -> Decision:
        first = min(report.down, key=lambda of: of.since)
        where = f"{len(report.down)} of {len(report.by_worker)} managers"
        return self._decision(
            Action.ISOLATE,
            report.layer,
            f"Leave out {report.layer}, on {where}: {first.reason}.",
            first.reason,
            report.down,
        )

    def _takes_back(self, made: Decision, report: _Report) -> Decision:
        lasted = self._clock() - made.time
        return self._decision(
            Action.ROLLBACK,
            report.layer,
            f"Ask {report.layer} again: it is well after {lasted:.0f} s.",
            "its trials have succeeded",
            list(report.by_worker.values()),
            verdict_on=made.decision_id,
        )

    def _decision(
        self,
        action: Action,
        layer: str,
        summary: str,
        rule: str,
        healths: list[LayerHealth],
        verdict_on: str | None = None,
    ) -> Decision:
        config = self._config()
        calls = sum(of.calls for of in healths)
        inputs = {
            "layer": layer,
            "failures": sum(of.failures for of in healths),
            "timeouts": sum(of.timeouts for of in healths),
            "left_out": sum(of.left_out for of in healths),
            "lost_seconds": round(sum(of.lost_seconds for of in healths), 3),
        }
        left_out = [layer] if action is Action.ISOLATE else []
        return Decision(
            uuid.uuid4().hex,
            self._clock(),
            POLICY,
            "all",
            action,
            config,
            config,
            summary,
            calls,
            reasons=(Reason("skipped_layers", left_out, rule, inputs, calls),),
            verdict_on=verdict_on,
        )


def _reports(store: Store) -> list[_Report]:
    by_layer: dict[str, dict[str, LayerHealth]] = defaultdict(dict)
    for worker, layers in posted_health(store).items():
        for of in layers:
            by_layer[of.layer][worker] = of
    return [_Report(layer, by_worker) for layer, by_worker in by_layer.items()]


def _isolated(store: Store) -> dict[str, Decision]:
    """Return, by layer, the decisions to isolate it that were not taken back."""
    ours = [decision for decision in store.decisions(limit=1000) if decision.policy == POLICY]
    ended = {decision.verdict_on for decision in ours}
    return {
        str(decision.reasons[0].inputs["layer"]): decision
        for decision in ours
        if decision.action is Action.ISOLATE and decision.decision_id not in ended
    }
