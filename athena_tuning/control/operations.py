"""What can be done to configs: the one place that says which versions an operation writes, whoever asks.

Each function turns what is in force, and where needed the history, into changes that are written together or
not at all (``Store.apply_configs``). ``expected_version`` is the version of the scope that the writer saw;
None stands for the one in ``configs``. What switches strategy or mode for all types does so for the
exceptions by type as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from athena_tuning.model import (
    EXPERIMENT,
    ConfigSet,
    ConfigVersion,
    Experiment,
    Mode,
    TuningConfig,
    TuningStrategy,
)
from athena_tuning.store import ConfigChange, ConfigConflict

Propose = Callable[[ConfigVersion], TuningConfig]
"""Gives the values that a scope should have under a strategy, from the version that is in force for it."""

HISTORY = 10_000
"""So many versions, the newest, can be rolled back to."""

_LONGEST_REASON = 300

_HEARD_SECONDS = 1.0
"""After so long every manager that sees the store has heard of a version, forty times over."""


def apply(
    configs: ConfigSet,
    config: TuningConfig,
    *,
    actor: str,
    reason: str,
    scope: str = "all",
    expected_version: int | None = None,
    mode: Mode | None = None,
) -> list[ConfigChange]:
    """Put values in force for one scope; the mode stays if it is None.

    Examples:
        >>> apply(ConfigSet(), TuningConfig(8), actor="ana", reason="more cores")[0].expected_version
        0
    """
    return [
        ConfigChange(
            config,
            expected_version=_expected_version(configs, scope, expected_version),
            actor=actor,
            reason=reason,
            scope=scope,
            mode=mode,
        )
    ]


def switch_strategy(
    configs: ConfigSet,
    strategy: TuningStrategy,
    propose: Propose,
    *,
    actor: str,
    reason: str,
    scope: str = "all",
    expected_version: int | None = None,
    config: TuningConfig | None = None,
    mode: Mode | None = None,
) -> list[ConfigChange]:
    """Put a strategy in force, with the values that it asks for; where a scope is pinned, its values stay.

    Args:
        configs: in force.
        strategy: what is wanted most from now on.
        propose: gives a scope's values under the strategy.
        actor: who does it.
        reason: why.
        scope: "all", which is for the exceptions too, or one type.
        expected_version: see the module.
        config: the values for ``scope`` itself, if they are decided already.
        mode: who steers from now on; None leaves it.
    """
    changes = []
    for at in _in_force(configs, scope):
        if at.scope == scope and config is not None:
            values = config
        elif at.mode is Mode.PINNED:
            values = at.config
        else:
            values = propose(at)
        expected = expected_version if at.scope == scope else None
        changes += apply(
            configs,
            replace(values, strategy=strategy),
            actor=actor,
            reason=reason,
            scope=at.scope,
            expected_version=expected,
            mode=mode,
        )
    return changes


def set_mode(
    configs: ConfigSet,
    mode: Mode,
    *,
    actor: str,
    reason: str,
    scope: str = "all",
    expected_version: int | None = None,
) -> list[ConfigChange]:
    """Say who steers; the values stay.

    Examples:
        >>> [change.mode for change in set_mode(ConfigSet(), Mode.AUTO, actor="ana", reason="let it run")]
        [<Mode.AUTO: 'auto'>]
    """
    changes = []
    for at in _in_force(configs, scope):
        expected = expected_version if at.scope == scope else None
        changes += apply(
            configs,
            at.config,
            actor=actor,
            reason=reason,
            scope=at.scope,
            expected_version=expected,
            mode=mode,
        )
    return changes


def end_exception(
    configs: ConfigSet, scope: str, *, actor: str, reason: str, expected_version: int | None = None
) -> list[ConfigChange]:
    """Let a type run under the config for all types.

    Raises:
        ValueError: if the type has no config of its own.
    """
    if scope not in configs.by_type:
        raise ValueError(f"{scope!r} has no exception to end")
    [change] = apply(
        configs,
        configs.default.config,
        actor=actor,
        reason=reason,
        scope=scope,
        expected_version=expected_version,
    )
    return [replace(change, restores=0)]


def roll_back(
    configs: ConfigSet,
    history: Sequence[ConfigVersion],
    version: int,
    *,
    actor: str,
    reason: str,
    expected_version: int | None = None,
) -> list[ConfigChange]:
    """Put an earlier version's values and mode in force again, for the version's own scope.

    Args:
        configs: in force.
        history: holds the version.
        version: its number; where it ended an exception, that is ended again.
        actor: who does it.
        reason: why.
        expected_version: see the module.

    Raises:
        ValueError: if there is no such version, or no exception to end.
    """
    past = _numbered(version, history)
    return _restore(configs, past, past.applies_to, actor, reason, expected_version)


def undo(
    configs: ConfigSet,
    history: Sequence[ConfigVersion],
    *,
    actor: str,
    scope: str = "all",
    expected_version: int | None = None,
) -> list[ConfigChange]:
    """Take back the newest change of a scope: for all types, with the exceptions that it changed.

    The reason says what is taken back. Taking back an undo brings its change back, and is called redo.

    Args:
        configs: in force.
        history: newest first, all scopes.
        actor: who does it.
        scope: "all" or a type.
        expected_version: see the module.

    Raises:
        ValueError: if there is nothing to take back.
    """
    own_history = [version for version in history if version.scope == scope]
    reason = undo_reason(own_history)
    if reason is None:
        raise ValueError("there is no change to take back")
    changes = []
    for version in _written_with(own_history[0], history) if scope == "all" else own_history[:1]:
        at = configs.in_scope(version.scope)
        own = version.scope == scope
        if not own and (at.version if at else 0) != _stands_as(version):
            continue  # somebody has changed it since
        before = _numbered(version.parent, history) if version.parent else None
        expected = expected_version if own else None
        changes += _restore(configs, before, version.scope, actor, reason, expected)
    return changes


def start_experiment(
    configs: ConfigSet,
    config: TuningConfig,
    *,
    actor: str,
    reason: str,
    now: float,
    seed: int,
    seconds: float = 300.0,
    scope: str = "all",
    expected_version: int | None = None,
) -> list[ConfigChange]:
    """Try values in turns with those in force, which stay in force.

    Args:
        configs: in force.
        config: the values to try.
        actor: who does it.
        reason: why.
        now: Unix seconds; the first block begins a moment later, when all managers have heard of it.
        seed: of the coin that says whose turn comes first.
        seconds: how long.
        scope: "all" or a query type.
        expected_version: see the module.

    Raises:
        ConfigConflict: if another version is in force for the scope than the writer saw.
        ValueError: if an experiment runs, it would last too short or too long, or there would be no
            difference to measure.
    """
    at = configs.by_type.get(scope, configs.default)
    seen = at.version if at.scope == scope else 0
    if expected_version is not None and expected_version != seen:
        raise ConfigConflict(expected_version, at if at.scope == scope else None, config, scope)
    running = configs.on_trial
    if running is not None and running.experiment is not None and now < running.experiment.ends:
        raise ValueError(f"an experiment by {running.author} is running (v{running.version}): end it first")
    _check_difference(at.config, config, scope)
    before = configs.tried
    return [
        ConfigChange(
            config,
            expected_version=before.version if before is not None and before.experiment else 0,
            actor=actor,
            reason=reason,
            scope=EXPERIMENT,
            mode=at.mode,
            experiment=Experiment(scope, at.version, now + _HEARD_SECONDS, seconds, seed),
        )
    ]


def end_experiment(configs: ConfigSet, *, actor: str, reason: str) -> list[ConfigChange]:
    """End the turns of a config that is tried; what is in force stays.

    Raises:
        ValueError: if there is no experiment to end.
    """
    tried = configs.tried
    if tried is None or tried.experiment is None:
        raise ValueError("no experiment is running")
    return [
        ConfigChange(
            tried.config,
            expected_version=tried.version,
            actor=actor,
            reason=reason,
            scope=EXPERIMENT,
            restores=0,
        )
    ]


def _check_difference(at: TuningConfig, config: TuningConfig, scope: str) -> None:
    changed = set(at.changes_to(config))
    if "limit_scope" in changed:
        raise ValueError(
            "what the limit speaks of cannot be tried in turns: managers need longer to share it"
        )
    without_effect = {"strategy", "concurrency_bounds", "timeout_bounds"}
    if scope != "all":
        without_effect |= {"max_concurrent", "overload_after_seconds", "hedging_quantile"}
    if changed <= without_effect:
        raise ValueError(
            "there is nothing to compare: "
            + (
                f"{', '.join(sorted(changed))} alone changes no recall"
                if changed
                else "the values are the same"
            )
        )


def undo_reason(history: Sequence[ConfigVersion]) -> str | None:
    """Return what taking back the newest change of a scope is called; None where there is none.

    Args:
        history: of that scope alone, newest first; two versions are enough.

    Examples:
        >>> first = ConfigVersion(1, 0, "all", TuningConfig(8), Mode.ADVISE, "ana", "more cores", 0.0)
        >>> undo_reason([first])
        'undo of version 1 (back to the defaults): more cores'
    """
    if not history:
        return None
    newest, before = history[0], history[1] if len(history) > 1 else None
    if before is not None and newest.reason.startswith(_undo_of(before)):
        return f"redo of version {before.version}: {before.reason}"[:_LONGEST_REASON]
    return f"{_undo_of(newest)} {newest.reason}"[:_LONGEST_REASON]


def _undo_of(version: ConfigVersion) -> str:
    first = version.scope == "all" and not version.parent
    return f"undo of version {version.version}{' (back to the defaults)' if first else ''}:"


def _numbered(version: int, history: Sequence[ConfigVersion]) -> ConfigVersion:
    wanted = next((known for known in history if known.version == version), None)
    if wanted is None:
        raise ValueError(f"there is no version {version}")
    return wanted


def _restore(
    configs: ConfigSet,
    past: ConfigVersion | None,
    scope: str,
    actor: str,
    reason: str,
    expected_version: int | None,
) -> list[ConfigChange]:
    """Bring a scope back to a version; None: to what it was before anybody had written."""
    if past is not None and past.ends_experiment:
        raise ValueError(f"version {past.version} is the end of an experiment: there is nothing to restore")
    if scope != "all" and (past is None or past.ends_exception):
        return end_exception(configs, scope, actor=actor, reason=reason, expected_version=expected_version)
    wanted = ConfigSet().default if past is None else past
    [change] = apply(
        configs,
        wanted.config,
        actor=actor,
        reason=reason,
        scope=scope,
        expected_version=expected_version,
        mode=wanted.mode,
    )
    return [replace(change, restores=wanted.version or None)]


def _in_force(configs: ConfigSet, scope: str) -> Iterator[ConfigVersion]:
    """Yield what a change of a scope is about: with "all", the exceptions too."""
    yield configs.in_scope(scope) or replace(configs.default, scope=scope)
    if scope == "all":
        yield from configs.by_type.values()


def _expected_version(configs: ConfigSet, scope: str, expected_version: int | None) -> int:
    if expected_version is not None:
        return expected_version
    at = configs.in_scope(scope)
    return at.version if at else 0


def _stands_as(version: ConfigVersion) -> int:
    """Return what is in force for a scope while a version is its newest: none, if it ended an exception."""
    return 0 if version.ends_exception else version.version


def _written_with(version: ConfigVersion, history: Sequence[ConfigVersion]) -> list[ConfigVersion]:
    """Return a version and those of other scopes that were written in the same step."""
    step = (version.time, version.author, version.reason)
    together = {version.scope: version}
    for other in sorted(history, key=lambda known: known.version):
        neighbour = other.version - len(together) == version.version
        if neighbour and (other.time, other.author, other.reason) == step:
            together.setdefault(other.scope, other)
    return list(together.values())
