"""``athena-tuning objectives``: what is promised of recalls, and how it is kept."""

from __future__ import annotations

import math
from dataclasses import replace

import click

from athena_tuning.cli.access import attached, operator, read_records
from athena_tuning.cli.output import as_json, print_outcome, print_records, store_option
from athena_tuning.model import Objective
from athena_tuning.service import audit, units

_HOURS = 25.0
_type_option = click.option(
    "--type", "query_type", default="all", metavar="TYPE", help="Of recalls of this type alone."
)


@click.group(invoke_without_command=True)
@store_option
@as_json
@click.pass_context
def objectives(context: click.Context, store: str | None, as_json: bool) -> None:
    """Show what is promised of live recalls, and how many times too fast each budget burns.

    At 1, as many recalls miss the objective as may; at 10, a month's budget lasts three days.
    """
    if context.invoked_subcommand is not None:
        return
    with attached(store, hours=_HOURS) as service:
        read_records(service.tail)
        burns = service.burns()
    print_records(
        [burn.to_dict() for burn in burns],
        ["scope", "promised", "burns, 5 min", "burns, 1 h", "kept today", "month's budget used", "by"],
        [
            [
                burn.objective.scope,
                burn.promise,
                _pace(burn.last_5_min),
                _pace(burn.last_hour),
                units.percent(burn.today, 2),
                units.percent(burn.month_used),
                burn.objective.author,
            ]
            for burn in burns
        ],
        as_json=as_json,
        none="nothing is promised: `athena-tuning objectives set --p99 MS` does",
    )


@objectives.command("set")
@click.option("--p99", "p99_ms", type=float, metavar="MS", help="99 % of the recalls take at most so long.")
@click.option("--success", type=float, metavar="PERCENT", help="So many neither fail nor are refused.")
@_type_option
@store_option
@as_json
def set_(
    p99_ms: float | None, success: float | None, query_type: str, store: str | None, as_json: bool
) -> None:
    """Promise a p99, a success, or both; what is not named stays as it was promised."""
    if p99_ms is None and success is None:
        raise click.UsageError("say what is promised: --p99 MS, --success PERCENT, or both")
    with attached(store) as service:
        was = service.objectives().get(query_type) or Objective(query_type)
        wanted = replace(
            was,
            p99_ms=was.p99_ms if p99_ms is None else p99_ms,
            success=was.success if success is None else success / 100,
        )
        kept = service.promise(operator(), wanted)
    print_outcome(kept.to_dict(), audit.objective_in_words(kept), as_json=as_json)


@objectives.command()
@_type_option
@store_option
@as_json
def remove(query_type: str, store: str | None, as_json: bool) -> None:
    """Promise nothing any more."""
    with attached(store) as service:
        kept = service.promise(operator(), Objective(query_type))
    print_outcome(kept.to_dict(), audit.objective_in_words(kept), as_json=as_json)


def _pace(value: float) -> str:
    return f"{value:.2g} times" if math.isfinite(value) else units.UNKNOWN
