"""``athena-tuning manager``: a manager in a process of its own, for dashboards elsewhere to attach to."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import click

from athena_tuning import locations
from athena_tuning.cli.output import memory_option, store_option


@click.command()
@memory_option
@store_option
@click.option(
    "--load", type=click.FloatRange(0, 10_000, min_open=True), metavar="RATE", help="Recalls a second."
)
@click.option(
    "--pattern",
    default="bursty",
    show_default=True,
    type=click.Choice(["steady", "ramp", "spike", "bursty", "day"]),
    help="How the load arrives.",
)
@click.option(
    "--seconds", type=click.FloatRange(0, min_open=True), help="Stop after so long. Default: never."
)
def manager(
    memory: str | None, store: str | None, load: float | None, pattern: str, seconds: float | None
) -> None:
    """Run a manager that shares its metrics and obeys the store's configs, until Ctrl+C.

    Where the memory file is missing it is made from the sample memory; --load asks the sample's questions.
    """
    from athena_tuning.store import open_store
    from athena_tuning.ui.embedded import Embedded
    from athena_tuning.workload.spec import LoadSpec

    url = store or locations.default_store_url()
    path = Path(memory) if memory else locations.default_memory()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    opened = open_store(url)
    try:
        here = Embedded(path, opened)
        try:
            if load is not None:
                here.start_load(LoadSpec(pattern, rate_per_s=load, duration_s=seconds))
            click.echo(f"manager {here.manager.worker_id} over {path} on {url}  (Ctrl+C stops it)")
            stop.wait(seconds)
        finally:
            here.close()
    finally:
        opened.close()
    click.echo(f"stopped after {here.manager.status().recalls} recalls")
