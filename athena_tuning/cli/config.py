"""``athena-tuning config``: see, change and roll back what managers run, as the Config page does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from athena_tuning.cli.access import attached, moment, operator
from athena_tuning.cli.output import as_json, print_json, print_records, print_table, print_text, store_option
from athena_tuning.model import ConfigVersion, LimitScope, Mode, TuningConfig, TuningStrategy
from athena_tuning.service import units

_scope = click.option("--scope", default="all", show_default=True, help="'all', or a query type.")
_reason = click.option("--reason", required=True, help="Why; the history keeps it.")
_expect = click.option(
    "--expected",
    type=click.IntRange(0),
    help="Version that you saw; the change is refused if another one is in force. Default: the present one.",
)
_switch = click.Choice(["on", "off"])
_LAYERS = "LAYERS"
"""Metavariable of options that take names joined by commas."""


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
        [v.version, v.parent, v.scope, v.mode, v.author, moment(v.time), _values(v.config), v.reason]
        for v in versions
    ]
    columns = ["version", "from", "scope", "mode", "author", "time", "values", "reason"]
    print_records([v.to_dict() for v in versions], columns, rows, as_json=as_json)


@config.command()
@click.option("--max-concurrent", type=int, help="Layer tasks in flight.")
@click.option(
    "--timeout", "timeout_seconds", type=float, metavar="SECONDS", help="Service time of a layer task."
)
@click.option("--deadline", metavar="SECONDS", help="Whole recall, or 'none'.")
@click.option("--overload-after", metavar="SECONDS", help="Queue without a break, then refuse, or 'none'.")
@click.option("--overload-wait", "overload_wait_seconds", type=float, help="Seconds to wait in an overload.")
@click.option("--bounds", "concurrency_bounds", metavar="N-M", help="Limits that the tuner may set, to 256.")
@click.option(
    "--limit-scope",
    type=click.Choice([s.value for s in LimitScope]),
    help="The limit is each manager's own, or one budget that all share.",
)
@click.option("--timeout-bounds", metavar="N-M", help="Timeouts in seconds that the tuner may set.")
@click.option("--strategy", type=click.Choice([s.value for s in TuningStrategy]), help="What is wanted most.")
@click.option("--cache", type=_switch, help="Answer repeated recalls from the cache.")
@click.option("--parallel", type=_switch, help="Run a recall's layers at the same time.")
@click.option("--selection", type=_switch, help="Ask only the layers that a query calls for.")
@click.option("--skip", "skipped_layers", metavar=_LAYERS, help="Layers left out, by commas, or 'none'.")
@click.option("--extra", "extra_layers", metavar=_LAYERS, help="Layers asked whatever the query, or 'none'.")
@click.option("--second", "second_round", metavar=_LAYERS, help="Layers of the second round, or 'none'.")
@click.option("--second-below", "second_round_below", type=int, help="Agreement that is enough, 1 to 10.")
@click.option("--thin-below", type=int, help="Pieces below which what was left out is asked, 1 to 10.")
@click.option("--hedge", "hedged_layers", metavar=_LAYERS, help="Layers called twice if slow, or 'none'.")
@click.option("--hedge-after", "hedging_quantile", type=float, help="Quantile from which one is slow, 0.95.")
@click.option("--explore", "exploration_share", type=float, help="Share of recalls that ask every layer.")
@click.option("--memory-share", type=float, help="Share of recalls whose layers' memory is measured.")
@click.option(
    "--fusion-weights", metavar="LAYER=WEIGHT,…", help="What a layer's ranks count, or 'none': 1 for each."
)
@click.option(
    "--question-model",
    metavar="FILE",
    help="JSON with weights by layer and feature, or 'none': by type alone.",
)
@click.option("--rank-constant", type=int, help="A rank counts weight / (constant + rank), 1 to 1000.")
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
            wanted = _changed(service.under_strategy(chosen, replace(at, scope=scope)), changed)
            written = service.switch_strategy(operator(), chosen, config=wanted, mode=steers, **how)
        elif steers and not changed:
            written = service.set_mode(operator(), steers, **how)
        else:
            wanted = _changed(at.config, changed)
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


def _changed(base: TuningConfig, values: dict[str, Any]) -> TuningConfig:
    names = {"cache": "enable_cache", "parallel": "enable_parallel", "selection": "layer_selection_enabled"}
    given: dict[str, Any] = {}
    for option, value in values.items():
        if option in names:
            given[names[option]] = value == "on"
        elif option in ("skipped_layers", "extra_layers", "second_round", "hedged_layers"):
            given[option] = frozenset() if value == "none" else _layers(value)
        elif option in ("concurrency_bounds", "timeout_bounds"):
            given[option] = _bounds(option, value)
        elif option == "fusion_weights":
            given[option] = {} if value == "none" else _weights(value)
        elif option == "question_model":
            given[option] = {} if value == "none" else read_question_model(value)
        elif option in ("deadline", "overload_after"):
            given[f"{option}_seconds"] = None if value == "none" else _seconds(option, value)
        else:
            given[option] = value
    try:
        return replace(base, **given)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _layers(value: str) -> frozenset[str]:
    names = frozenset(map(str.strip, value.split(",")))
    if "" in names:
        raise click.UsageError(f"{value!r} names a layer that has no name")
    return names


def _bounds(option: str, value: str) -> tuple[float, float]:
    kind = int if option == "concurrency_bounds" else float
    try:
        low, high = map(kind, value.split("-"))
    except ValueError:
        raise click.UsageError(f"{value!r} is not the least and the most, such as 2-64") from None
    return low, high


def read_question_model(value: str) -> Any:
    """Return what the file that ``--question-model`` names holds."""
    try:
        return json.loads(Path(value).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise click.UsageError(
            f"--question-model: {value!r} is no JSON file that can be read: {error}"
        ) from error


def _weights(value: str) -> dict[str, float]:
    weights = {}
    for part in value.split(","):
        layer, _, number = part.partition("=")
        try:
            weights[layer.strip()] = float(number)
        except ValueError:
            raise click.UsageError(f"--fusion-weights: {part!r} is not LAYER=WEIGHT") from None
    if "" in weights:
        raise click.UsageError(f"{value!r} names a layer that has no name")
    return weights


def _seconds(option: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise click.UsageError(
            f"--{option.replace('_', '-')}: {value!r} is neither seconds nor 'none'"
        ) from None


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


def _values(config: TuningConfig) -> str:
    return f"{config.strategy}, {config.max_concurrent} tasks, {config.timeout_seconds:g} s"
