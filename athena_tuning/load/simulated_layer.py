"""A layer behind a simulated network: it waits as a remote service would, then really searches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from random import Random
from typing import Protocol

from athena_tuning.recall.items import LayerQuery
from athena_tuning.recall.layers.base import SearchResult


class LocalLayer(Protocol):
    """A layer that answers at once."""

    @property
    def name(self) -> str:
        """Unique among a manager's layers."""

    def search(self, query: LayerQuery, k: int, deadline: float) -> SearchResult:
        """Return what fits best."""


class RemoteLayer:
    """Asks another layer after a lognormal wait, and fails now and then as networks do.

    Args:
        layer: what is asked in the end.
        median_ms: half of the waits are shorter.
        spread: standard deviation of the wait's logarithm; at 0.5 the p99 is 3.2 times the median, at 1.0
            ten times.
        failures: share of searches that end in ``ConnectionError``, 0 to 1.
        rng: draws waits and failures.
        monotonic: the clock of deadlines.
        sleep: waits so many seconds.

    Raises:
        ValueError: if a figure makes no sense.

    Examples:
        >>> class Notes:
        ...     name = "notes"
        ...     def search(self, query, k, deadline):
        ...         return [{"id": "n1", "text": "Ana likes tea"}]
        >>> waits = []
        >>> RemoteLayer(Notes(), 20.0, 0.0, sleep=waits.append).search("tea", 1, 1e12)[0]["id"], waits
        ('n1', [0.02])
    """

    keeps_deadline = True

    def __init__(
        self,
        layer: LocalLayer,
        median_ms: float,
        spread: float = 0.5,
        failures: float = 0.0,
        *,
        rng: Random | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        if not (median_ms > 0 and 0 <= spread <= 3 and 0 <= failures <= 1):
            raise ValueError(f"no network waits {median_ms} ms with spread {spread} and failures {failures}")
        self.name = layer.name
        self._layer = layer
        self._median_s, self._spread, self._failures = median_ms / 1000, spread, failures
        self._rng = rng or Random(self.name)
        self._drawing = threading.Lock()
        self._monotonic, self._sleep = monotonic, sleep

    def search(self, query: LayerQuery, k: int, deadline: float) -> SearchResult:
        """Wait, then search.

        Raises:
            TimeoutError: if the wait would go beyond the deadline; it ends there.
            ConnectionError: as often as ``failures`` says.
        """
        with self._drawing:
            wait = self._median_s * self._rng.lognormvariate(0.0, self._spread)
            fails = self._rng.random() < self._failures
        left = deadline - self._monotonic()
        self._sleep(max(0.0, min(wait, left)))
        if wait >= left:
            raise TimeoutError(f"{self.name} did not answer in time")
        if fails:
            raise ConnectionError(f"{self.name} cannot be reached")
        return self._layer.search(query, k, deadline)
