"""Everything that a page or a command may ask or do, in one place and without streamlit.

Reads go to the dashboard's own window (``Tail``), so they see all managers that share the store. Writes go
through the manager of this process, or through the store that other processes' managers obey; each asks for
a role, an actor's name and a reason, and most for the version that the writer saw.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from athena_tuning import locations
from athena_tuning.model import (
    Annotation,
    ConfigSet,
    ConfigVersion,
    Decision,
    Mode,
    TuningConfig,
    TuningStrategy,
    WorkerStatus,
)
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.store import Store, open_store
from athena_tuning.tuning import AutoTuner
from athena_tuning.ui.embedded import Embedded
from athena_tuning.ui.remembered import Remembered
from athena_tuning.ui.roles import Actor, NotAllowed
from athena_tuning.ui.standing import Standing
from athena_tuning.ui.tail import Tail
from athena_tuning.ui.view import View
from athena_tuning.workload import samples
from athena_tuning.workload.spec import LoadSpec

WORKER_IS_ALIVE_SECONDS = 10.0
MAX_QUERY_CHARACTERS = 10_000
MAX_REASON_CHARACTERS = 500
_ARRIVES_WITHIN_SECONDS = 3.0

T = TypeVar("T")


class TuningService:
    """The dashboard's and the command line's one way to the system. All methods are thread-safe.

    Args:
        store: shared by all managers.
        tail: follows it.
        embedded: the manager of this process; None where other processes have them.
        clock: Unix seconds.
    """

    def __init__(
        self,
        store: Store,
        tail: Tail,
        embedded: Embedded | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.tail = tail
        self.embedded = embedded
        self._clock = clock
        self._remembered = Remembered(lambda: self.window.version, clock)

    @classmethod
    def open(cls, environ: Mapping[str, str] = os.environ) -> TuningService:
        """Open what the settings name and start it.

        ``ATHENA_TUNING_STORE`` is the store, ``ATHENA_TUNING_ATTACH=1`` watches other processes' managers
        in place of running one, ``ATHENA_TUNING_MEMORY`` is the embedded manager's memory and
        ``ATHENA_TUNING_DEMO=0`` leaves its demo load off.

        Raises:
            StoreError: if the store cannot be opened.
        """
        store = open_store(environ.get("ATHENA_TUNING_STORE"))
        embedded = None
        if environ.get("ATHENA_TUNING_ATTACH") != "1":
            named = environ.get("ATHENA_TUNING_MEMORY")
            embedded = Embedded(Path(named) if named else locations.default_memory(), store)
            if embedded.has_sample and environ.get("ATHENA_TUNING_DEMO") != "0":
                embedded.start_demo()
        tail = Tail(store)
        tail.start()
        return cls(store, tail, embedded)

    def close(self) -> None:
        """End loads, the manager and the store."""
        self.tail.close()
        if self.embedded is not None:
            self.embedded.close()
        self.store.close()

    # Reading

    @property
    def now(self) -> float:
        """Unix seconds."""
        return self._clock()

    @property
    def window(self) -> PerformanceProfiler:
        """What all charts are drawn from."""
        return self.tail.profiler

    @property
    def store_name(self) -> str:
        """What kind of store it is, without its address."""
        return type(self.store).__name__

    @property
    def evidence(self) -> PerformanceProfiler:
        """What proposals rest on: the manager's window here, else the dashboard's."""
        return self.embedded.manager.profiler if self.embedded else self.tail.profiler

    def ask(self, read: Callable[..., T], view: View, *more: Any) -> T:
        """Return ``read(window, view, *more)``; while the window stays as it is, computed once for everybody.

        Under live traffic it never stays as it is, so it is looked at anew every two seconds only.
        """
        return self._remembered.answer((read, view, more), lambda: read(self.window, view, *more))

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
        )

    def data_age(self) -> float | None:
        """Return the seconds since the newest recall in the window; None without one."""
        newest = self.window.summary().last_timestamp
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

    def is_alive(self, worker: WorkerStatus) -> bool:
        """Whether a worker has reported itself lately."""
        return self.now - worker.last_seen <= WORKER_IS_ALIVE_SECONDS

    def configs(self) -> ConfigSet:
        """Return the configs in force."""
        return self.embedded.manager.configs if self.embedded else self.store.config_set()

    def enough(self) -> tuple[int, int]:
        """Return the recalls that proposals can rest on, and how many they need."""
        return self.evidence.summary().count, self._tuner().min_samples

    def preview(self, strategy: TuningStrategy | None = None, scope: str = "all") -> Decision:
        """Return what the tuner would choose now under a strategy (None: the one in force)."""
        configs = self.configs()
        chosen = strategy or configs.default.config.strategy
        question = ("preview", chosen, scope, configs.head)
        return self._remembered.answer(question, lambda: self._propose(chosen, scope))

    def samples(self) -> Sequence[samples.SampleWorkload]:
        """Return the sample workloads."""
        return samples.list_samples()

    def workers(self) -> list[WorkerStatus]:
        """Return all known managers, last seen first."""
        return self.store.workers()

    def history(self, limit: int = 200, scope: str | None = None) -> list[ConfigVersion]:
        """Return config versions, newest first."""
        return self.store.config_history(limit=limit, scope=scope)

    def decisions(self, limit: int = 200) -> list[Decision]:
        """Return the tuner's decisions, newest first."""
        return self.store.decisions(limit=limit)

    # Writing

    def apply(
        self,
        actor: Actor,
        config: TuningConfig,
        *,
        expected_version: int,
        reason: str,
        scope: str = "all",
        mode: Mode | None = None,
        restores: int | None = None,
    ) -> ConfigVersion:
        """Put a config in force.

        Raises:
            NotAllowed: if the actor is no operator, or nobody would obey.
            ValueError: if the reason is missing or too long.
            ConfigConflict: if another version is in force by now.
            StoreError: if it could not be stored.
        """
        self._may_write(actor, "apply a config")
        writer = self.embedded.manager if self.embedded else self.store
        return writer.apply_config(
            config,
            expected_version=expected_version,
            actor=actor.name,
            reason=_checked(reason),
            scope=scope,
            mode=mode,
            restores=restores,
        )

    def switch_strategy(
        self, actor: Actor, strategy: TuningStrategy, *, expected_version: int, reason: str
    ) -> ConfigVersion:
        """Put another strategy in force, with the values that it asks for on today's evidence.

        Exceptions by type come along; where a scope is pinned, its values stay.

        Raises: as ``apply`` does.
        """
        self._may_write(actor, "switch the strategy")
        configs = self.configs()
        written = self.apply(
            actor,
            self._under_strategy(strategy, configs.default),
            expected_version=expected_version,
            reason=reason,
        )
        for scope, at in configs.by_type.items():
            self.apply(
                actor,
                self._under_strategy(strategy, at),
                expected_version=at.version,
                reason=reason,
                scope=scope,
            )
        return written

    def set_mode(self, actor: Actor, mode: Mode, *, expected_version: int, reason: str) -> ConfigVersion:
        """Say who steers from now on; the values stay. Raises as ``apply`` does."""
        at = self.configs().default
        return self.apply(actor, at.config, expected_version=expected_version, reason=reason, mode=Mode(mode))

    def roll_back(self, actor: Actor, version: int, *, expected_version: int, reason: str) -> ConfigVersion:
        """Put an earlier version's config in force again, as a new version.

        Raises:
            ValueError: if there is no such version.
            Others: as ``apply`` does.
        """
        found = next((v for v in self.history(limit=10_000) if v.version == version), None)
        if found is None:
            raise ValueError(f"there is no version {version}")
        return self.apply(
            actor,
            found.config,
            expected_version=expected_version,
            reason=reason,
            scope=found.scope,
            restores=version,
        )

    def undo(self, actor: Actor, *, expected_version: int, scope: str = "all") -> ConfigVersion:
        """Take back the newest change of a scope.

        Raises:
            ValueError: if there is nothing to take back.
            Others: as ``apply`` does.
        """
        past = self.history(limit=2, scope=scope)
        if len(past) < 2:
            raise ValueError("there is no earlier version to go back to")
        newest, before = past
        return self.apply(
            actor,
            before.config,
            expected_version=expected_version,
            reason=f"undo of version {newest.version}",
            scope=scope,
            mode=before.mode,
            restores=before.version,
        )

    def annotate(self, actor: Actor, words: str) -> None:
        """Keep a note for the charts, at this moment. Raises as ``apply`` does, save for a conflict."""
        actor.must_be_operator("leave a note")
        self.store.annotate(Annotation(self.now, _checked(words), actor.name))

    # The manager of this process

    def start_load(self, actor: Actor, spec: LoadSpec) -> None:
        """Start a load run.

        Raises:
            NotAllowed: if the actor is no operator, or there is no manager in this process.
            ValueError: if one is under way, or the load cannot be made.
        """
        self._here(actor, "start a load").start_load(spec)

    def stop_load(self, actor: Actor) -> None:
        """Stop the load run. Raises ``NotAllowed`` as ``start_load`` does."""
        self._here(actor, "stop a load").stop_load()

    def set_demo(self, actor: Actor, on: bool) -> None:
        """Start or stop the demo load. Raises ``NotAllowed`` as ``start_load`` does."""
        here = self._here(actor, "steer the demo load")
        if on:
            here.start_demo()
        else:
            here.stop_demo()

    def take_sample(self, actor: Actor, name: str) -> int:
        """Record a sample workload as if it had just ended; return how many recalls that was.

        It reaches the window as all recalls do, through the store; this waits a moment for it.

        Raises:
            NotAllowed: as ``start_load`` does.
            ValueError: if there is no such workload.
        """
        here = self._here(actor, "load a workload")
        before = self.tail.taken
        taken = here.take_sample(name, ending_at=self.now)
        self.tail.wait_for(before + taken, _ARRIVES_WITHIN_SECONDS)
        self._remembered.forget()
        return taken

    def recall(
        self, actor: Actor, text: str, *, k: int = 5, scope: str | None = None, use_cache: bool = True
    ) -> Mapping[str, Any]:
        """Ask the memory, as an agent would; it is measured and recorded like any recall.

        Raises:
            NotAllowed: as ``start_load`` does.
            ValueError: if the text is empty or too long.
        """
        here = self._here(actor, "ask the memory")
        if not text.strip() or len(text) > MAX_QUERY_CHARACTERS:
            raise ValueError(f"a query has 1 to {MAX_QUERY_CHARACTERS:,} characters, not {len(text):,}")
        return here.recall(text, k=k, scope=scope, use_cache=use_cache)

    # How it is done

    def _propose(self, strategy: TuningStrategy, scope: str) -> Decision:
        tuner = self._tuner()
        asked = AutoTuner(
            self.evidence,
            strategy,
            tuner.adjustment_interval,
            tuner.min_samples,
            bounds=tuner.bounds,
            policy=tuner.policy.name,
            clock=self._clock,
        )
        asked.in_force(_under(self.configs(), strategy))
        return asked.propose(None if scope == "all" else scope)

    def _tuner(self) -> AutoTuner:
        return self.embedded.manager.tuner if self.embedded else AutoTuner(self.tail.profiler)

    def _under_strategy(self, strategy: TuningStrategy, at: ConfigVersion) -> TuningConfig:
        if at.mode is Mode.PINNED:
            return replace(at.config, strategy=strategy)
        return replace(self.preview(strategy, at.scope).after, strategy=strategy)

    def _may_write(self, actor: Actor, what: str) -> None:
        actor.must_be_operator(what)
        if reason := self.blocked():
            raise NotAllowed(f"Not now: {reason}")

    def _here(self, actor: Actor, what: str) -> Embedded:
        actor.must_be_operator(what)
        if self.embedded is None:
            raise NotAllowed(f"Nobody can {what} here: the managers run in other processes")
        return self.embedded


def _under(configs: ConfigSet, strategy: TuningStrategy) -> ConfigSet:
    at = configs.default
    return replace(configs, default=replace(at, config=replace(at.config, strategy=strategy)))


def _checked(reason: str) -> str:
    words = reason.strip()
    if not words:
        raise ValueError("a reason is needed: it is what the history will say")
    if len(words) > MAX_REASON_CHARACTERS:
        raise ValueError(f"a reason has at most {MAX_REASON_CHARACTERS} characters, not {len(words)}")
    return words
