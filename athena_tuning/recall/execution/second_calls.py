"""Second calls of slow layers: how long each layer's first calls take, and what may be spent on a second."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable

from athena_tuning.hedging import HedgingBudget, HedgingDelays
from athena_tuning.model import TaskOutcome, TuningConfig
from athena_tuning.recall.execution.task import ExecutionResult

LEAST_SECONDS = 0.001
"""Less is the wake-up of a thread."""


class SecondCalls:
    """Of one executor: one budget over all its layers, and each layer's delay.

    Attributes:
        counts: "asked" second calls, and "won" ones, which answered first.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._budget = HedgingBudget(left=0.0)
        self._delays = _delays(TuningConfig().hedging_quantile)

    def obey(self, config: TuningConfig) -> None:
        """Take the quantile from a config; with another one, delays are learned anew."""
        with self._lock:
            if config.hedging_quantile != self._delays.quantile:
                self._delays = _delays(config.hedging_quantile)

    def delay(self, layer: str) -> float:
        """Return the seconds after which a call of a layer is made again; infinite until that is known."""
        return self._delays.of(layer)

    def take(self) -> bool:
        """Whether a second call may be made; it is then spent."""
        with self._lock:
            taken = self._budget.take()
            self.counts["asked"] += taken
            return taken

    def learn(self, results: Iterable[ExecutionResult]) -> None:
        """Note how long first calls took, of layers whose calls may be made again."""
        with self._lock:
            for result in results:
                self._budget.earn()
                if result.outcome is not TaskOutcome.ERROR:
                    self._delays.learn(result.layer_name, result.elapsed_ms / 1000)
                if result.second is not None:
                    self.counts["won"] += result.second.won


def _delays(quantile: float) -> HedgingDelays:
    return HedgingDelays(quantile, least=LEAST_SECONDS)
