"""``athena-tuning propose``: what the tuner that leads would set, as it has told everybody."""

from __future__ import annotations

import click

from athena_tuning.cli.access import attached, read_records
from athena_tuning.cli.output import as_json, print_json, print_table, print_text, store_option
from athena_tuning.model import Proposal


@click.command()
@click.option("--scope", default="all", show_default=True, help="'all', or a query type.")
@click.option(
    "--source",
    metavar="BATCH",
    help="What the tuner would set if it had met this batch alone (see `athena-tuning sources`).",
)
@store_option
@as_json
def propose(scope: str, source: str | None, store: str | None, as_json: bool) -> None:
    """Show what the tuner would set under the strategy in force and under each other one.

    Pages show the same. Nothing is changed: `athena-tuning config apply` does that.
    """
    with attached(store, hours=24.0 * 3660 if source else 24.0) as service:
        if source:
            read_records(service.tail, all_at_once=True)
        proposal, now = service.proposal(scope, source), service.now
    if proposal is None:
        raise click.ClickException(
            f"the store holds no recalls of {source}: `athena-tuning sources` lists what it holds"
            if source
            else "no tuner has told a proposal yet: one does as soon as a manager leads on this store"
        )
    if as_json:
        print_json(proposal.to_dict())
    else:
        _tell(proposal, now)


def _tell(proposal: Proposal, now: float) -> None:
    from athena_tuning.service import parameter_rows, units
    from athena_tuning.service.verdict import verdict_of

    print_text(verdict_of(proposal).sentence, style="bold")
    print_text(parameter_rows.summary_of(proposal.current.decision))
    line = f"rests on {proposal.recalls} recalls; told {units.ago(now - proposal.time)} by {proposal.author}"
    print_text(line)
    rows = []
    for strategy, proposed in proposal.by_strategy.items():
        after, forecast = proposed.decision.after, proposed.forecast
        rows.append(
            [
                f"{strategy.value}{' (in force)' if strategy is proposal.strategy else ''}",
                after.max_concurrent,
                f"{after.timeout_seconds:g} s",
                units.setting(after.enable_parallel),
                units.ms(forecast.p99_ms) if forecast else units.UNKNOWN,
                units.rate(forecast.per_second) if forecast else units.UNKNOWN,
                str(verdict_of(proposal, strategy).kind).lower(),
            ]
        )
    print_table(["strategy", "tasks", "timeout", "parallel", "p99", "capacity", ""], rows)
