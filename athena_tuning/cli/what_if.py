"""``athena-tuning what-if``: what other configs would have brought, simulated on recorded recalls."""

from __future__ import annotations

import click
from rich.text import Text

from athena_tuning.cli.access import attached
from athena_tuning.cli.output import as_json, console, print_json, print_table, store_option
from athena_tuning.tuning.simulation.what_if import WhatIf


@click.command(name="what-if")
@click.option(
    "--over",
    type=click.Choice(["limit", "timeout", "strategy", "switches"]),
    default="limit",
    show_default=True,
    help="What to vary against what is in force.",
)
@click.option("--sample", metavar="NAME", help="A sample workload in place of the store's newest recalls.")
@click.option(
    "--source",
    metavar="BATCH",
    help="A batch in place of the store's newest recalls (see `athena-tuning sources`).",
)
@click.option("--scope", default="all", show_default=True, help="'all', or a query type.")
@click.option("--speed", default=1.0, show_default=True, help="Arrivals so many times as fast.")
@store_option
@as_json
def what_if(
    over: str,
    sample: str | None,
    source: str | None,
    scope: str,
    speed: float,
    store: str | None,
    as_json: bool,
) -> None:
    """Simulate recorded recalls under other configs; nothing is asked of any manager.

    Changes are against what is in force, with their 95 % intervals.
    """
    from athena_tuning.service.read_service import NOW

    if sample and source:
        raise click.UsageError("--sample and --source are two sources of recalls: name one")
    with attached(store, hours=24.0 * 3660 if source else 24.0) as service:
        if source and source not in {batch.source for batch in service.sources()}:
            raise click.ClickException(
                f"there is no batch {source!r}: `athena-tuning sources` lists those that are there"
            )
        while not (sample or service.tail.caught_up):
            service.tail.look()
            if service.tail.problem:
                raise click.ClickException(service.tail.problem)
        run = service.sweep(sample or source or NOW, over, scope=scope, speed=speed)
        run.wait()
    if run.answer is None:
        raise click.ClickException(run.failure or "the simulation was stopped")
    if as_json:
        print_json(run.answer.to_dict())
    else:
        _print_answer(run.answer)


def _print_answer(answer: WhatIf) -> None:
    from athena_tuning.service import units
    from athena_tuning.service.chart_rows import change_words

    rows = [
        [
            outcome.name or "in force",
            units.ms(outcome.p99_ms.value),
            change_words(outcome.p99_change),
            change_words(outcome.capacity_change),
            change_words(outcome.cost_change),
            units.percent(outcome.full_rate.value),
            units.percent(outcome.refused_rate.value),
            "a guess" if outcome.beyond else "",
        ]
        for outcome in (answer.base, *answer.outcomes)
    ]
    print_table(["", "p99", "p99 change", "capacity", "slot time", "full answers", "refused", ""], rows)
    best = f"best for {answer.strategy}: {answer.best.name}" if answer.best else "nothing is surely better"
    if answer.promising:
        best += f"; worth a try: {answer.promising.name}, objective {change_words(answer.promising.gain)}"
    console().print(
        Text(
            f"{answer.recalls} recalls; p99 of what is in force {units.ms(answer.base.p99_ms.value)}, "
            f"measured {units.ms(answer.measured_p99_ms)}; {best}"
        ),
        soft_wrap=True,
    )
