"""``athena-tuning experiment``: try a config in turns with the one in force, and see what it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from athena_tuning.cli.access import attached, operator
from athena_tuning.cli.config_options import changed_by, value_options
from athena_tuning.cli.output import as_json, print_json, print_table, print_text, store_option
from athena_tuning.model import ExperimentReport, TuningStrategy
from athena_tuning.service import parameter_rows
from athena_tuning.tuning.experiments.wording import change_in_words, figure_in_words

if TYPE_CHECKING:
    from athena_tuning.service.experiments import ExperimentStanding
    from athena_tuning.service.tuning_service import TuningService


@click.group()
def experiment() -> None:
    """Try a config in turns with the one in force, on live recalls; show how that stands; end it."""


@experiment.command()
@value_options
@click.option("--minutes", default=5.0, show_default=True, type=click.FloatRange(1, 60), help="How long.")
@click.option("--scope", default="all", show_default=True, help="'all', or a query type.")
@click.option("--reason", required=True, help="Why; the history keeps it.")
@click.option(
    "--expected", type=click.IntRange(0), help="Version that you saw; refused if another is in force."
)
@store_option
@as_json
def start(
    minutes: float,
    scope: str,
    reason: str,
    expected: int | None,
    store: str | None,
    as_json: bool,
    **values: Any,
) -> None:
    """Try changed values in turns with those in force; those that are not named stay.

    Without any value, what the tuner proposes is tried. It ends by itself, and what is in force stays.
    """
    with attached(store) as service:
        at = service.configs().in_scope(scope) or service.configs().default
        strategy = values.pop("strategy")
        changed = {name: value for name, value in values.items() if value is not None}
        base = service.under_strategy(TuningStrategy(strategy), at) if strategy else at.config
        if not strategy and not changed:
            proposal = service.proposal(scope)
            base = (proposal and proposal.under(proposal.strategy, at.config)) or at.config
        wanted = changed_by(base, changed)
        service.start_experiment(
            operator(),
            wanted,
            expected_version=expected,
            reason=reason,
            scope=scope,
            seconds=minutes * 60,
        )
        _show(service, as_json)


@experiment.command()
@store_option
@as_json
def status(store: str | None, as_json: bool) -> None:
    """Show the newest experiment: how it stands, or what came of it."""
    with attached(store) as service:
        _show(service, as_json)


@experiment.command()
@click.option("--reason", default="", help="Why; the history keeps it.")
@store_option
@as_json
def end(reason: str, store: str | None, as_json: bool) -> None:
    """End the experiment that runs; what is in force stays in force."""
    with attached(store) as service:
        service.end_experiment(operator(), reason=reason)
        _show(service, as_json)


def _show(service: TuningService, as_json: bool) -> None:
    standing, now = service.experiment(), service.now
    if standing is None:
        if as_json:
            print_json(None)
        else:
            print_text("nothing was tried yet: `athena-tuning experiment start` does")
        return
    if as_json:
        print_json(standing.to_dict(now))
    else:
        _tell(standing, now)


def _tell(standing: ExperimentStanding, now: float) -> None:
    version, plan = standing.version, standing.plan
    head = f"v{version.version} {'is tried' if standing.is_running else 'was tried'} by {version.author}"
    whom = "" if plan.scope == "all" else f" for {plan.scope}"
    print_text(f"{head}{whom}, in turns with v{plan.base}: {version.reason}", style="bold")
    changes = parameter_rows.changes(standing.base, version.config)
    print_table(["value", "in force", "tried"], [[row.label, row.before, row.after] for row in changes])
    print_text(standing.sentence(now))
    if standing.report is not None:
        _tell_measures(standing.report)


def _tell_measures(report: ExperimentReport) -> None:
    print_table(
        ["observed", "unit", "in force", "tried", "change, at every look 95 %"],
        [
            [
                measure.name,
                "ms" if measure.unit == "ms" else "%",
                figure_in_words(measure.in_force, measure.unit),
                figure_in_words(measure.tried, measure.unit),
                change_in_words(measure) if measure.pairs else "",
            ]
            for measure in report.measures
        ],
    )
    for note in report.notes:
        print_text(f"{note}.")
