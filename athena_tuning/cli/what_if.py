"""``athena-tuning what-if``: what other configs would have brought, simulated on recorded recalls."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from athena_tuning import locations
from athena_tuning.cli.access import attached, read_records
from athena_tuning.cli.config_options import read_question_model
from athena_tuning.cli.output import (
    as_json,
    errors_in_words,
    memory_option,
    print_json,
    print_table,
    print_text,
    store_option,
)
from athena_tuning.tuning.simulation.what_if import WhatIf

if TYPE_CHECKING:
    from athena_tuning.model import ConfigSet
    from athena_tuning.service.quality import Quality


@click.command(name="what-if")
@click.option(
    "--over",
    type=click.Choice(["limit", "timeout", "strategy", "switches", "plans"]),
    help="What to vary against what is in force (default: limit, and with --plan or a model nothing).",
)
@click.option(
    "--plan",
    "plans",
    multiple=True,
    metavar="LAYERS",
    help='A plan to try: layers joined by "+", after ">" those of a second round. Repeatable.',
)
@click.option(
    "--question-model",
    metavar="FILE",
    help="JSON with weights by layer and feature to try: which layers each recall's own words ask for.",
)
@click.option(
    "--gold",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --plan: questions with their evidence, on which each plan's recall@10 is measured, too.",
)
@click.option("--sample", metavar="NAME", help="A sample workload in place of the store's newest recalls.")
@click.option(
    "--source",
    metavar="BATCH",
    help="A batch in place of the store's newest recalls (see `athena-tuning sources`).",
)
@click.option("--scope", default="all", show_default=True, help="'all', or a query type.")
@click.option("--speed", default=1.0, show_default=True, help="Arrivals so many times as fast.")
@memory_option
@store_option
@as_json
def what_if(
    over: str | None,
    plans: tuple[str, ...],
    question_model: str | None,
    gold: Path | None,
    sample: str | None,
    source: str | None,
    scope: str,
    speed: float,
    memory: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Simulate recorded recalls under other configs; nothing is asked of any manager.

    Changes are against what is in force, with their 95 % intervals. Of a plan it also says how many layers a
    recall asks and what part of the best answers it would lose, as far as the tuner that leads has seen; with
    --gold, how much of the right answers it finds in the memory.
    """
    from athena_tuning.service.forecast_reads import NOW

    if sample and source:
        raise click.UsageError("--sample and --source are two sources of recalls: name one")
    if gold and not plans:
        raise click.UsageError("--gold measures plans: name one with --plan")
    over = over or ("" if plans or question_model else "limit")
    model = read_question_model(question_model) if question_model else None
    with attached(store, hours=24.0 * 3660 if source else 24.0) as service:
        if source and source not in {batch.source for batch in service.sources()}:
            raise click.ClickException(
                f"there is no batch {source!r}: `athena-tuning sources` lists those that are there"
            )
        if not sample:
            read_records(service.tail, all_at_once=True)
        run = service.sweep(
            *(sample or source or NOW, over), scope=scope, speed=speed, plans=plans, question_model=model
        )
        configs = service.configs()
        run.wait()
    if run.answer is None:
        raise click.ClickException(run.failure or "the simulation was stopped")
    measured = _measured(memory, gold, plans, configs) if gold else []
    if as_json:
        found = {"quality": [one.to_dict() for one in measured]} if gold else {}
        print_json(run.answer.to_dict() | found)
    elif plans or model is not None or over == "plans":
        _print_plans(run.answer, measured)
    else:
        _print_answer(run.answer)


def _measured(memory: str | None, gold: Path, plans: Sequence[str], configs: ConfigSet) -> list[Quality]:
    from athena_tuning.service import quality

    path = Path(memory) if memory else locations.default_memory()
    if not path.is_file():
        raise click.ClickException(f"there is no memory at {path} to ask the questions of {gold.name}")
    with errors_in_words():
        return quality.measure(path, quality.read_gold(gold), plans, configs)


def _print_plans(answer: WhatIf, measured: Sequence[Quality]) -> None:
    from athena_tuning.service import quality, units
    from athena_tuning.service.chart_rows import change_words, share_words

    right = {one.way: one.lost for one in measured}
    rows = []
    for outcome in (answer.base, *answer.outcomes):
        lost = right.get(outcome.name or quality.IN_FORCE)
        rows.append(
            [
                outcome.name or "in force",
                f"{outcome.calls.value:.2f} ({outcome.calls.low:.2f} to {outcome.calls.high:.2f})",
                units.ms(outcome.p50_ms.value),
                units.ms(outcome.p99_ms.value),
                change_words(outcome.p99_change),
                change_words(outcome.cost_change),
                share_words(outcome.lost),
                *([share_words((lost.mean, lost.low, lost.high))] if lost else []),
            ]
        )
    columns = ["plan", "calls", "p50", "p99", "p99 change", "slot time", "answer lost"]
    print_table([*columns, *(["recall@10 lost"] if measured else [])], rows)
    _print_conclusion(answer)


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
            units.percent(outcome.second_calls.value),
            "a guess" if outcome.beyond else "",
        ]
        for outcome in (answer.base, *answer.outcomes)
    ]
    print_table(
        ["", "p99", "p99 change", "capacity", "slot time", "full answers", "refused", "second calls", ""],
        rows,
    )
    _print_conclusion(answer)


def _print_conclusion(answer: WhatIf) -> None:
    from athena_tuning.service import units
    from athena_tuning.service.chart_rows import change_words

    best = f"best for {answer.strategy}: {answer.best.name}" if answer.best else "nothing is surely better"
    if answer.promising:
        best += f"; worth a try: {answer.promising.name}, objective {change_words(answer.promising.gain)}"
    print_text(
        f"{answer.recalls} recalls; p99 of what is in force {units.ms(answer.base.p99_ms.value)}, "
        f"measured {units.ms(answer.measured_p99_ms)}; {best}"
    )
