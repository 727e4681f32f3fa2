"""The options that describe a load, shared by all commands that make one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from athena_tuning.load.spec import LoadSpec

Command = TypeVar("Command", bound=Callable[..., Any])

PATTERNS = ("steady", "ramp", "spike", "bursty", "day", "replay")

_POSITIVE = click.FloatRange(0, min_open=True)
_OPTIONS = (
    click.option(
        "--pattern",
        default="bursty",
        show_default=True,
        type=click.Choice(PATTERNS),
        help="How recalls arrive.",
    ),
    click.option("--clients", type=click.IntRange(1, 1024), help="Closed loop: so many ask in turn."),
    click.option(
        "--think",
        "think_s",
        default=0.0,
        metavar="SECONDS",
        type=click.FloatRange(0),
        help="Pause of a client between answer and next question.",
    ),
    click.option("--mix", metavar="TYPE=WEIGHT,…", help="Which query types. Default: all alike."),
    click.option(
        "--repetition",
        default=1.0,
        show_default=True,
        type=click.FloatRange(0, 5),
        help="Zipf exponent of the questions: 0 hardly any twice, above 1.5 a cache answers most.",
    ),
    click.option("-k", default=5, show_default=True, type=click.IntRange(1, 1000), help="Results wanted."),
    click.option("--seed", default=0, show_default=True, help="The same seed is the same load."),
    click.option(
        "--replay",
        "replay_of",
        metavar="WHAT",
        help="Replay a sample workload, a file, or what the store holds: 'imported' or 'live'.",
    ),
    click.option(
        "--speed", default=1.0, show_default=True, type=_POSITIVE, help="How many times as fast to replay."
    ),
    click.option(
        "--cv", default=1.8, show_default=True, type=_POSITIVE, help="Inter-arrival CV of bursty arrivals."
    ),
    click.option(
        "--dispersion", type=_POSITIVE, help="Index of dispersion of bursty arrivals over --window."
    ),
    click.option("--window", "window_s", default=60.0, show_default=True, metavar="SECONDS", type=_POSITIVE),
)


def load_options(command: Command) -> Command:
    """Give a command the options that ``spec_of`` reads, all but rate and duration."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def spec_of(rate_per_s: float, seconds: float | None, values: Mapping[str, Any]) -> LoadSpec:
    """Return the load that a command's options describe.

    Args:
        rate_per_s: mean arrivals a second.
        seconds: how long; None: until it is stopped.
        values: the other options, by name; what is no option of a load is passed over.

    Raises:
        click.UsageError: if values do not fit together.

    Examples:
        >>> spec_of(5.0, 60.0, {"pattern": "day", "mix": "factual=3,temporal=1"}).mix["factual"]
        3.0
    """
    from athena_tuning.load.spec import LoadSpec

    names = ("clients", "think_s", "repetition", "k", "seed", "speed", "cv", "dispersion", "window_s", "cold")
    given = {name: values[name] for name in names if values.get(name) is not None}
    if mix := values.get("mix"):
        given["mix"] = weights_of(mix)
    pattern = values.get("pattern", "bursty")
    if replay_of := values.get("replay_of"):
        pattern, given["replay_of"] = "replay", replay_of
    elif pattern == "replay":
        raise click.UsageError("--pattern replay needs --replay WHAT")
    try:
        return LoadSpec(pattern, rate_per_s=rate_per_s, duration_s=seconds, **given)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def weights_of(text: str) -> dict[str, float]:
    """Return weights by query type.

    Raises:
        click.UsageError: naming the part that is none.

    Examples:
        >>> weights_of("factual=3, temporal")
        {'factual': 3.0, 'temporal': 1.0}
    """
    from athena_tuning.model import QUERY_TYPES

    weights: dict[str, float] = {}
    for part in text.split(","):
        name, _, weight = part.strip().partition("=")
        try:
            weights[name] = float(weight or 1)
        except ValueError:
            raise click.UsageError(f"--mix: {part.strip()!r} is no TYPE=WEIGHT") from None
        if name not in QUERY_TYPES:
            raise click.UsageError(f"--mix: {name!r} is none of {', '.join(QUERY_TYPES)}")
    return weights
