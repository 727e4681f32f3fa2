"""The options that name a config's values, shared by all commands that change or try some."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from athena_tuning.model import LimitScope, TuningConfig, TuningStrategy

Command = TypeVar("Command", bound=Callable[..., Any])

_switch = click.Choice(["on", "off"])
_LAYERS = "LAYERS"
"""Metavariable of options that take names joined by commas."""

_OPTIONS = (
    click.option("--max-concurrent", type=int, help="Layer tasks in flight."),
    click.option(
        "--timeout", "timeout_seconds", type=float, metavar="SECONDS", help="Service time of a layer task."
    ),
    click.option("--deadline", metavar="SECONDS", help="Whole recall, or 'none'."),
    click.option(
        "--overload-after", metavar="SECONDS", help="Queue without a break, then refuse, or 'none'."
    ),
    click.option(
        "--overload-wait", "overload_wait_seconds", type=float, help="Seconds to wait in an overload."
    ),
    click.option(
        "--bounds", "concurrency_bounds", metavar="N-M", help="Limits that the tuner may set, to 256."
    ),
    click.option(
        "--limit-scope",
        type=click.Choice([s.value for s in LimitScope]),
        help="The limit is each manager's own, or one budget that all share.",
    ),
    click.option("--timeout-bounds", metavar="N-M", help="Timeouts in seconds that the tuner may set."),
    click.option(
        "--strategy", type=click.Choice([s.value for s in TuningStrategy]), help="What is wanted most."
    ),
    click.option("--cache", type=_switch, help="Answer repeated recalls from the cache."),
    click.option("--parallel", type=_switch, help="Run a recall's layers at the same time."),
    click.option("--selection", type=_switch, help="Ask only the layers that a query calls for."),
    click.option("--skip", "skipped_layers", metavar=_LAYERS, help="Layers left out, by commas, or 'none'."),
    click.option(
        "--extra", "extra_layers", metavar=_LAYERS, help="Layers asked whatever the query, or 'none'."
    ),
    click.option("--second", "second_round", metavar=_LAYERS, help="Layers of the second round, or 'none'."),
    click.option("--second-below", "second_round_below", type=int, help="Agreement that is enough, 1 to 10."),
    click.option("--thin-below", type=int, help="Pieces below which what was left out is asked, 1 to 10."),
    click.option("--hedge", "hedged_layers", metavar=_LAYERS, help="Layers called twice if slow, or 'none'."),
    click.option(
        "--hedge-after", "hedging_quantile", type=float, help="Quantile from which one is slow, 0.95."
    ),
    click.option("--explore", "exploration_share", type=float, help="Share of recalls that ask every layer."),
    click.option("--memory-share", type=float, help="Share of recalls whose layers' memory is measured."),
    click.option(
        "--fusion-weights",
        metavar="LAYER=WEIGHT,…",
        help="What a layer's ranks count, or 'none': 1 for each.",
    ),
    click.option(
        "--question-model",
        metavar="FILE",
        help="JSON with weights by layer and feature, or 'none': by type alone.",
    ),
    click.option("--rank-constant", type=int, help="A rank counts weight / (constant + rank), 1 to 1000."),
)


def value_options(command: Command) -> Command:
    """Give a command the options that name values; what is not given is None."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def changed_by(base: TuningConfig, values: dict[str, Any]) -> TuningConfig:
    """Return a config with the values that options name.

    Raises:
        click.UsageError: if one cannot be read, or does not fit.
    """
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
