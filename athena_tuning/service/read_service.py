"""Everything that a page or a command may ask, without streamlit and without changing anything.

What is stored is in ``StoreReads``, what would be in ``ForecastReads``; here is how things
stand. Reads go to the dashboard's own window (``Tail``), so they see all managers that share the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from athena_tuning.control import objectives
from athena_tuning.model import Objective
from athena_tuning.model.source import MEASURED
from athena_tuning.service import fact_gathering
from athena_tuning.service.alerts import Alert, AlertWatch
from athena_tuning.service.facts import Burn, Facts, Situation
from athena_tuning.service.forecast_reads import ForecastReads
from athena_tuning.service.situation import applying, judge
from athena_tuning.service.status import Standing
from athena_tuning.service.store_reads import WORKER_IS_ALIVE_SECONDS
from athena_tuning.store import WELCOME


class ReadService(ForecastReads):
    """What may be asked of the system. All methods are thread-safe. Arguments as of ``StoreReads``."""

    def standing(self) -> Standing:
        """Return how things stand."""
        configs = self.configs()
        alive = sum(self.is_alive(worker) for worker in self.store.workers())
        return Standing(
            configs.default.config.strategy,
            configs.default.mode,
            configs.default.version,
            configs.head,
            self.data_age(),
            self.tail.problem,
            alive,
            self.embedded.demo_is_on if self.embedded else None,
            self.blocked(alive),
            configs.on_trial.version if configs.on_trial else None,
        )

    def situation(self, timezone: str = "UTC") -> Situation:
        """Return what there is to say first: whether all is well, why not, and what is to be done.

        Args:
            timezone: whose clock and day it speaks of.
        """
        question = ("situation", timezone, self._edition, self.now // 2)
        return self._remembered.answer(question, lambda: judge(self._facts(timezone)))

    def findings_of_rules(self) -> Sequence[Situation]:
        """Return what each rule that applies now has to say."""
        question = ("rules", self._edition, self.now // 2)
        return self._remembered.answer(question, lambda: tuple(applying(self._facts("UTC"))))

    def alerts(self) -> Sequence[Alert]:
        """Return the alerts of the last thirty days, the newest first."""
        question = ("alerts", self._edition, self.now // 5)
        return self._remembered.answer(question, lambda: AlertWatch(self.store).known(self.now))

    def objectives(self) -> Mapping[str, Objective]:
        """Return what is promised, by scope; an answer of "nothing" is among it."""
        return self._remembered.answer(
            ("objectives", self._edition, self.now // 2), lambda: objectives.objectives(self.store)
        )

    def burns(self, timezone: str = "UTC") -> Sequence[Burn]:
        """Return how each promise is kept, that of all recalls first.

        Args:
            timezone: whose day and month it is.
        """

        def used(objective: Objective, month: tuple[float, float]) -> float:  # a month from the store: seldom
            question = ("month used", objective, month, self.now // 60)
            return self._remembered.answer(
                question, lambda: fact_gathering.month_used(self.store, objective, month, self.now)
            )

        promises = objectives.promised(self.objectives())
        return tuple(fact_gathering.burns(self.window, promises, self.now, timezone, used))

    def is_welcomed(self) -> bool:
        """Whether somebody has put away what newcomers are shown."""
        return "away" in self._newcomers()

    def is_toured(self) -> bool:
        """Whether somebody has been through the tour, or has skipped it."""
        return "tour" in self._newcomers()

    def data_age(self) -> float | None:
        """Return the seconds since the newest recall that was really asked; None without one."""
        newest = self.window.summary(sources=MEASURED).last_timestamp
        return max(0.0, self.now - newest) if newest == newest else None  # noqa: PLR0124 (NaN is not itself)

    def blocked(self, workers_alive: int | None = None) -> str | None:
        """Return why nothing can be written now, or None."""
        if self.embedded is not None:
            return None
        if workers_alive is None:
            workers_alive = sum(self.is_alive(worker) for worker in self.store.workers())
        if not workers_alive:
            return "no manager is running on this store, so nothing would obey a change"
        return None

    def _facts(self, timezone: str) -> Facts:
        return fact_gathering.facts(
            self.store,
            self.tail,
            self.embedded,
            lambda: self.burns(timezone),
            now=self.now,
            timezone=timezone,
            alive_seconds=WORKER_IS_ALIVE_SECONDS,
        )

    def _newcomers(self) -> Mapping[str, str]:
        question = ("newcomers", self._edition, self.now // 10)
        return self._remembered.answer(question, lambda: self.store.posted(WELCOME))
