"""``athena-tuning forward``: hours or days of load in virtual time, so that nobody has to wait for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import TimeRemainingColumn

from athena_tuning.cli.load_options import spec_of, weights_of
from athena_tuning.cli.output import as_json, print_outcome, progress_bar, store_option

if TYPE_CHECKING:
    from athena_tuning.model import ConfigSet

_POSITIVE = click.FloatRange(0, min_open=True)


@click.command()
@click.option("--hours", default=24.0, show_default=True, type=_POSITIVE, help="How long, in virtual time.")
@click.option("--rate", default=1.0, show_default=True, type=_POSITIVE, help="Recalls a second, on average.")
@click.option(
    "--pattern",
    default="day",
    show_default=True,
    type=click.Choice(["steady", "ramp", "spike", "bursty", "day"]),
    help="How recalls arrive.",
)
@click.option("--mix", metavar="TYPE=WEIGHT,…", help="Which query types. Default: as in the evidence.")
@click.option("--repetition", default=1.0, show_default=True, type=click.FloatRange(0, 5))
@click.option("--seed", default=0, show_default=True, help="The same seed is the same load.")
@click.option(
    "--evidence",
    metavar="WORKLOAD",
    help="Sample workload to take costs from. Default: what the store's managers measured, else 'mixed'.",
)
@click.option("--max-concurrent", type=click.IntRange(1), help="Layer tasks in flight. Default: as in force.")
@click.option(
    "--timeout", "timeout_seconds", type=_POSITIVE, help="Layer timeout in s. Default: as in force."
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file (.csv, .jsonl, .parquet) and not to the store.",
)
@store_option
@as_json
def forward(
    hours: float,
    rate: float,
    mix: str | None,
    evidence: str | None,
    max_concurrent: int | None,
    timeout_seconds: float | None,
    out: Path | None,
    store: str | None,
    as_json: bool,
    **values: Any,
) -> None:
    """Simulate a load on the config in force, in seconds, and put it into the store as if it had just ended.

    What recalls cost is taken from evidence; every record is marked as simulated.
    """
    from athena_tuning.interchange.export import export_records
    from athena_tuning.load.fast_forward import fast_forward, mix_of, store_forward, usual_evidence
    from athena_tuning.samples import sample_workloads
    from athena_tuning.store import open_store

    with open_store(store) as opened:
        known = sample_workloads.load_records(evidence) if evidence else usual_evidence(opened)
        spec = replace(spec_of(rate, hours * 3600, values), mix=weights_of(mix) if mix else mix_of(known))
        changes = {"max_concurrent": max_concurrent, "timeout_seconds": timeout_seconds}
        config = _changed(opened.config_set(), {name: v for name, v in changes.items() if v is not None})
        with progress_bar(TimeRemainingColumn()) as bar:
            task = bar.add_task("Simulating", total=1.0)
            records = fast_forward(
                known, spec, config=config, progress=lambda share: bar.update(task, completed=share)
            )
            if out:
                count, source = export_records(records, out), "simulated"
            else:
                stored = store_forward(records, opened)
                count, source = stored.records, stored.source
    place = str(out) if out else "the store"
    print_outcome(
        {"recalls": count, "hours": hours, "to": place, "source": source},
        f"{count:,} simulated recalls of the last {hours:g} h are in {place}",
        as_json=as_json,
    )


def _changed(configs: ConfigSet, changes: dict[str, Any]) -> ConfigSet:
    default = configs.default
    return replace(configs, default=replace(default, config=replace(default.config, **changes)))
