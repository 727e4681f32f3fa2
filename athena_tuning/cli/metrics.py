"""``athena-tuning metrics``: the raw records of the store, for other tools."""

from __future__ import annotations

import time
from pathlib import Path

import click

from athena_tuning.cli.access import instant
from athena_tuning.cli.output import (
    as_json,
    print_outcome,
    progress_bar,
    sources_option,
    store_option,
)
from athena_tuning.model import LAYERS, QUERY_TYPES

_WHEN = "A time (2026-01-31T09:30), or how long ago (90s, 30m, 24h, 7d)."


@click.group()
def metrics() -> None:
    """Take the records of recalls out of the store."""


@metrics.command()
@click.argument("file", type=click.Path(dir_okay=False, writable=True, path_type=Path))
@click.option("--since", metavar="WHEN", help=f"Leave out what was before. {_WHEN}")
@click.option("--until", metavar="WHEN", help="Leave out what was then or later.")
@click.option(
    "--type", "query_type", metavar="TYPE", help=f"Only recalls of this type: {', '.join(QUERY_TYPES)}, …"
)
@click.option("--layer", metavar="LAYER", help=f"Only recalls that asked this layer: {', '.join(LAYERS)}, …")
@sources_option(None)
@store_option
@as_json
def export(
    file: Path,
    since: str | None,
    until: str | None,
    query_type: str | None,
    layer: str | None,
    sources: frozenset[str] | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Write the records of the store to FILE, whose ending is the format: .csv, .jsonl or .parquet.

    .csv.gz and .jsonl.gz are packed. A FILE that is there is replaced once the new one is whole.
    `athena-tuning import` reads all of them back.
    """
    from athena_tuning.interchange.export import export_records, stored_records
    from athena_tuning.store import open_store

    now = time.time()
    first = instant(since, now, "--since") if since else 0.0
    end = instant(until, now, "--until") if until else float("inf")
    if first >= end:
        raise click.UsageError("--since must be before --until")
    with (
        open_store(store, create=store is None) as opened,
        progress_bar() as bar,
    ):
        task = bar.add_task(f"Exporting to {file.name}", total=None)
        chosen = stored_records(
            opened, since=first, until=end, query_type=query_type, layer=layer, sources=sources
        )
        count = export_records(chosen, file, progress=lambda done: bar.update(task, completed=done))
    size = file.stat().st_size
    print_outcome(
        {"file": str(file), "records": count, "bytes": size}, f"{count} records in {file}", as_json=as_json
    )
