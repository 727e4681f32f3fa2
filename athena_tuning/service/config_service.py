"""Who may change what the managers run, and how it is written: every operation on configs, by role."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from dataclasses import replace

from athena_tuning.control import objectives, operations
from athena_tuning.model import (
    Annotation,
    ConfigVersion,
    Decision,
    Mode,
    Objective,
    TuningConfig,
    TuningStrategy,
)
from athena_tuning.service import audit
from athena_tuning.service.read_service import ReadService
from athena_tuning.service.roles import Actor, NotAllowed
from athena_tuning.store import WELCOME, ConfigChange, StoreError
from athena_tuning.tuning.simulation.what_if import WhatIf

MAX_REASON_CHARACTERS = 500

logger = logging.getLogger(__name__)


class ConfigService(ReadService):
    """Writes configs, through the manager of this process or the store that other managers obey.

    Each asks for a role, an actor's name and a reason, and most for the version that the writer saw.
    """

    def apply(
        self,
        actor: Actor,
        config: TuningConfig,
        *,
        expected_version: int | None,
        reason: str,
        scope: str = "all",
        mode: Mode | None = None,
        foretold: WhatIf | None = None,
    ) -> ConfigVersion:
        """Put a config in force.

        Args:
            actor: who does it.
            config: the values.
            expected_version: the version in force for the scope that the actor saw, 0 for none; None: the
                present one, whatever it is.
            reason: why, for the history.
            scope: "all" or a query type.
            mode: who steers from now on; None leaves it.
            foretold: what a simulation said that the config brings, its only outcome: it is kept as a
                decision, so that what came can be held against it.

        Raises:
            NotAllowed: if the actor is no operator, or nobody would obey.
            ValueError: if the reason is missing or too long.
            ConfigConflict: if another version is in force by now.
            StoreError: if it could not be stored.
        """
        self._may_write(actor, "apply a config")
        changes = operations.apply(
            self.configs(),
            config,
            actor=actor.name,
            reason=_checked(reason),
            scope=scope,
            expected_version=expected_version,
            mode=mode,
        )
        return self._write(changes, foretold)[0]

    def switch_strategy(
        self,
        actor: Actor,
        strategy: TuningStrategy,
        *,
        expected_version: int | None,
        reason: str,
        scope: str = "all",
        config: TuningConfig | None = None,
        mode: Mode | None = None,
        foretold: WhatIf | None = None,
    ) -> list[ConfigVersion]:
        """Put another strategy in force; with scope "all", for the exceptions too.

        Args:
            actor: who does it.
            strategy: what is wanted most from now on.
            expected_version: as in ``apply``.
            reason: as in ``apply``.
            scope: as in ``apply``.
            config: the values for the scope that the actor saw; None: what ``under_strategy`` says now.
                Exceptions get what it says of them.
            mode: as in ``apply``.
            foretold: as in ``apply``.

        Returns:
            What was written, that of the scope first.

        Raises: as ``apply`` does.
        """
        self._may_write(actor, "switch the strategy")
        changes = operations.switch_strategy(
            self.configs(),
            strategy,
            lambda at: self.under_strategy(strategy, at),
            actor=actor.name,
            reason=_checked(reason),
            scope=scope,
            expected_version=expected_version,
            config=config,
            mode=mode,
        )
        return self._write(changes, foretold)

    def set_mode(
        self, actor: Actor, mode: Mode, *, expected_version: int | None, reason: str, scope: str = "all"
    ) -> list[ConfigVersion]:
        """Say who steers from now on, with scope "all" for the exceptions too; the values stay.

        Raises: as ``apply`` does.
        """
        self._may_write(actor, "set the mode")
        changes = operations.set_mode(
            self.configs(),
            Mode(mode),
            actor=actor.name,
            reason=_checked(reason),
            scope=scope,
            expected_version=expected_version,
        )
        return self._write(changes)

    def roll_back(
        self,
        actor: Actor,
        version: int,
        *,
        expected_version: int | None,
        reason: str,
        foretold: WhatIf | None = None,
    ) -> ConfigVersion:
        """Put an earlier version's values and mode in force again, as a new version.

        Raises:
            ValueError: if there is no such version.
            Others: as ``apply`` does.
        """
        self._may_write(actor, "roll back")
        changes = operations.roll_back(
            self.configs(),
            self.history(operations.HISTORY),
            version,
            actor=actor.name,
            reason=_checked(reason),
            expected_version=expected_version,
        )
        return self._write(changes, foretold)[0]

    def undo(self, actor: Actor, *, expected_version: int | None, scope: str = "all") -> list[ConfigVersion]:
        """Take back the newest change of a scope; the reason of what is written says which.

        Raises:
            ValueError: if there is nothing to take back.
            Others: as ``apply`` does.
        """
        self._may_write(actor, "undo a change")
        changes = operations.undo(
            self.configs(),
            self.history(operations.HISTORY),
            actor=actor.name,
            scope=scope,
            expected_version=expected_version,
        )
        return self._write(changes)

    def end_exception(
        self,
        actor: Actor,
        scope: str,
        *,
        expected_version: int | None,
        reason: str,
        foretold: WhatIf | None = None,
    ) -> ConfigVersion:
        """Let a query type run under the config for all from now on.

        Raises:
            ValueError: if the type has no config of its own.
            Others: as ``apply`` does.
        """
        self._may_write(actor, "end an exception")
        changes = operations.end_exception(
            self.configs(),
            scope,
            actor=actor.name,
            reason=_checked(reason),
            expected_version=expected_version,
        )
        return self._write(changes, foretold)[0]

    def start_experiment(
        self,
        actor: Actor,
        config: TuningConfig,
        *,
        expected_version: int | None,
        reason: str,
        scope: str = "all",
        seconds: float = 300.0,
    ) -> ConfigVersion:
        """Try a config in turns with the one in force, which stays in force.

        Args:
            actor: who does it.
            config: the values to try.
            expected_version: as in ``apply``.
            reason: as in ``apply``.
            scope: "all" or a query type.
            seconds: how long, 60 to 3600.

        Returns:
            The version of what is tried: recalls that ran under it have its number.

        Raises:
            ValueError: if an experiment runs, or there would be nothing to measure.
            Others: as ``apply`` does.
        """
        self._may_write(actor, "start an experiment")
        changes = operations.start_experiment(
            self.configs(),
            config,
            actor=actor.name,
            reason=_checked(reason),
            now=self.now,
            seed=secrets.randbits(32),
            seconds=seconds,
            scope=scope,
            expected_version=expected_version,
        )
        self._edition += 1
        return self._write(changes)[0]

    def end_experiment(self, actor: Actor, *, reason: str = "") -> ConfigVersion:
        """End the experiment that runs; what is in force stays.

        Raises:
            NotAllowed: if the actor is no operator.
            ValueError: if none is running.
            StoreError: if it could not be stored.
        """
        actor.must_be_operator("end an experiment")
        words = f"by {actor.name}" + (f": {_checked(reason)}" if reason else "")
        changes = operations.end_experiment(self.configs(), actor=actor.name, reason=words)
        self._edition += 1
        return self._write(changes)[0]

    def put_welcome_away(self, actor: Actor) -> None:
        """Show newcomers on this store no acts any more. Raises as ``promise`` does."""
        actor.must_be_operator("put the acts away")
        self.store.post(WELCOME, "away", actor.name)
        self._edition += 1

    def end_tour(self, actor: Actor) -> None:
        """Show newcomers on this store no tour any more. Raises as ``promise`` does."""
        actor.must_be_operator("end the tour")
        self.store.post(WELCOME, "tour", actor.name)
        self._edition += 1

    def promise(self, actor: Actor, objective: Objective) -> Objective:
        """Keep what is promised of a scope in the store, in place of what was; charts get a note.

        Args:
            actor: who promises.
            objective: with neither p99 nor success it says that nothing is promised.

        Raises:
            NotAllowed: if the actor is no operator.
            StoreError: if it could not be stored.
        """
        actor.must_be_operator("promise a latency")
        kept = replace(objective, author=actor.name, time=self.now)
        objectives.keep(self.store, kept)
        self._edition += 1
        self._note(actor, audit.objective_in_words(kept))
        return kept

    def annotate(self, actor: Actor, words: str) -> None:
        """Keep a note for the charts, at this moment. Raises as ``apply`` does, save for a conflict."""
        actor.must_be_operator("leave a note")
        self.store.annotate(Annotation(self.now, _checked(words), actor.name))

    def _may_write(self, actor: Actor, what: str) -> None:
        actor.must_be_operator(what)
        if reason := self.blocked():
            raise NotAllowed(f"Not now: {reason}")

    def _write(self, changes: Sequence[ConfigChange], foretold: WhatIf | None = None) -> list[ConfigVersion]:
        """Write what an operation comes to; keep the grounds of its first change."""
        configs, scope = self.configs(), changes[0].scope
        before = (configs.in_scope(scope) or configs.default).config
        versions = (self.embedded.manager if self.embedded else self.store).apply_configs(changes)
        if foretold is not None:
            self._keep(audit.decided(versions[0], before, foretold))
        return versions

    def _note(self, actor: Actor, words: str) -> None:
        """Put what was done into the audit trail; it is done, so a store that fails is only logged."""
        try:
            self.store.annotate(Annotation(self.now, words, actor.name))
        except StoreError as failure:
            logger.warning("not in the audit trail: %s by %s (%s)", words, actor.name, failure)

    def _keep(self, decision: Decision) -> None:
        """Keep the grounds of a change; it is in force, so a store that fails is only logged."""
        try:
            self.store.append_decision(decision)
        except StoreError as failure:
            logger.warning("the grounds of version %s are not kept: %s", decision.config_version, failure)


def _checked(reason: str) -> str:
    words = reason.strip()
    if not words:
        raise ValueError("a reason is needed: it is what the history will say")
    if len(words) > MAX_REASON_CHARACTERS:
        raise ValueError(f"a reason has at most {MAX_REASON_CHARACTERS} characters, not {len(words)}")
    return words
