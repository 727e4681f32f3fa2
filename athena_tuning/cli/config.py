"""``athena-tuning config``: see, change and roll back what managers run, as the Config page does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import click

from athena_tuning.cli.access import attached, moment, operator
from athena_tuning.cli.config_options import changed_by, value_options
from athena_tuning.cli.output import as_json, print_json, print_records, print_table, print_text, store_option
from athena_tuning.model import EXPERIMENT, ConfigVersion, Mode, TuningConfig, TuningStrategy
from athena_tuning.service import units

_scope = click.option("--scope", default="all", show_default=True, help="'all', or a query type.")
_reason = click.option("--reason", required=True, help="Why; the history keeps it.")
_expect = click.option(
    "--expected",
    type=click.IntRange(0),
    help="Version that you saw; the change is refused if another one is in force. Default: the present one.",
)


@click.group()
def config() -> None:
    """See, change and roll back the config that managers run."""


@config.command()
@_scope
@store_option
@as_json
def show(scope: str, store: str | None, as_json: bool) -> None:
    """Show the config in force."""
    with attached(store) as service:
        version = service.configs().in_scope(scope) or service.configs().default
    _print_versions([version], as_json)


@config.command()
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1, 10_000), help="Versions to show."
)
@store_option
@as_json
def history(limit: int, store: str | None, as_json: bool) -> None:
    """List the config versions, newest first."""
    with attached(store) as service:
        versions = service.history(limit)
    rows = [
        [v.version, v.parent, _scope_word(v), v.mode, v.author, moment(v.time), _values(v.config), v.reason]
        for v in versions
    ]
    columns = ["version", "from", "scope", "mode", "author", "time", "values", "reason"]
    print_records([v.to_dict() for v in versions], columns, rows, as_json=as_json)


@config.command()
@value_options
@click.option("--mode", type=click.Choice([m.value for m in Mode]), help="Who steers from now on.")
@_scope
@_reason
@_expect
@store_option
@as_json
def apply(
    scope: str,
    reason: str,
    expected: int | None,
    mode: str | None,
    store: str | None,
    as_json: bool,
    **values: Any,
) -> None:
    """Put changed values in force; those that are not named stay.

    --strategy brings the values that it asks for on today's evidence; named ones come on top. For all query
    types, --strategy, and --mode alone, are for the exceptions by type as well.
    """
    with attached(store) as service, _conflict_reported(as_json):
        at = service.configs().in_scope(scope) or service.configs().default
        seen = expected if expected is not None else at.version if at.scope == scope else 0
        how: dict[str, Any] = {"expected_version": seen, "reason": reason, "scope": scope}
        steers = Mode(mode) if mode else None
        strategy = values.pop("strategy")
        changed = {name: value for name, value in values.items() if value is not None}
        if strategy:
            chosen = TuningStrategy(strategy)
            wanted = changed_by(service.under_strategy(chosen, replace(at, scope=scope)), changed)
            written = service.switch_strategy(operator(), chosen, config=wanted, mode=steers, **how)
        elif steers and not changed:
            written = service.set_mode(operator(), steers, **how)
        else:
            wanted = changed_by(at.config, changed)
            written = [service.apply(operator(), wanted, mode=steers, **how)]
    _print_versions(written, as_json)


@config.command()
@click.argument("version", type=click.IntRange(1))
@_reason
@_expect
@store_option
@as_json
def rollback(version: int, reason: str, expected: int | None, store: str | None, as_json: bool) -> None:
    """Put the values and the mode of VERSION in force again, as a new version."""
    with attached(store) as service, _conflict_reported(as_json):
        restored = service.roll_back(operator(), version, expected_version=expected, reason=reason)
    _print_versions([restored], as_json)


@config.command()
@_scope
@_expect
@store_option
@as_json
def undo(scope: str, expected: int | None, store: str | None, as_json: bool) -> None:
    """Take back the newest change, with what it changed for single types; undoing an undo is a redo."""
    with attached(store) as service, _conflict_reported(as_json):
        undone = service.undo(operator(), expected_version=expected, scope=scope)
    _print_versions(undone, as_json)


@config.command()
@click.argument("query_type")
@_reason
@_expect
@store_option
@as_json
def end(query_type: str, reason: str, expected: int | None, store: str | None, as_json: bool) -> None:
    """End the exception of QUERY_TYPE: it runs under the config for all types from now on."""
    with attached(store) as service, _conflict_reported(as_json):
        ended = service.end_exception(operator(), query_type, expected_version=expected, reason=reason)
    _print_versions([ended], as_json)


@contextmanager
def _conflict_reported(as_json: bool) -> Iterator[None]:
    """Show both versions if somebody else wrote first; the error and the exit code follow."""
    from athena_tuning.store import ConfigConflict

    try:
        yield
    except ConfigConflict as conflict:
        current = conflict.current
        if as_json:
            print_json(
                {
                    "conflict": str(conflict),
                    "expected": conflict.expected,
                    "current": current.to_dict() if current else None,
                    "proposed": conflict.proposed.to_dict(),
                }
            )
        elif current:
            ours, theirs = conflict.proposed.to_dict(), current.config.to_dict()
            rows = [[name, ours[name], theirs[name]] for name in ours if ours[name] != theirs[name]]
            print_text(f"version {current.version} by {current.author}: {current.reason}")
            print_table(["value", "yours", "in force"], rows)
        raise


def _print_versions(versions: Sequence[ConfigVersion], as_json: bool) -> None:
    """Show the version of the scope that was asked for; of exceptions that came along only the line."""
    version, *exceptions = versions
    if as_json:
        along = {"exceptions": [other.to_dict() for other in exceptions]} if exceptions else {}
        print_json(version.to_dict() | along)
        return
    for written in versions:
        restores = f", restores version {written.restores}" if written.restores else ""
        print_text(
            f"version {written.version} for {written.scope} by {written.author} ({written.mode}){restores}"
        )
    print_text(version.reason, style="dim")
    if version.unknown_fields:
        newer = ", ".join(f"{name} = {value!r}" for name, value in version.unknown_fields.items())
        print_text(f"not obeyed here, because only a newer program knows it: {newer}")
    print_table(
        ["value", "is"], [[name, units.setting(value)] for name, value in version.config.to_dict().items()]
    )


def _scope_word(version: ConfigVersion) -> str:
    return "experiment" if version.scope == EXPERIMENT else version.scope


def _values(config: TuningConfig) -> str:
    return f"{config.strategy}, {config.max_concurrent} tasks, {config.timeout_seconds:g} s"
