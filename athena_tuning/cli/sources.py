"""``athena-tuning sources``: what the store holds beside live recalls, and how it goes again."""

from __future__ import annotations

from dataclasses import asdict

import click

from athena_tuning.cli.access import attached, moment, operator
from athena_tuning.cli.output import as_json, print_outcome, print_records, store_option
from athena_tuning.model import SourceBatch
from athena_tuning.service import units


@click.group(invoke_without_command=True)
@store_option
@as_json
@click.pass_context
def sources(context: click.Context, store: str | None, as_json: bool) -> None:
    """List load runs, samples, imported files and simulated days in the store, newest first."""
    if context.invoked_subcommand is not None:
        return
    with attached(store) as service:
        batches = service.sources()
    print_records(
        [_plain(batch) for batch in batches],
        ["source", "recalls", "from", "to", "span"],
        [
            [
                batch.source,
                units.count(batch.records),
                moment(batch.oldest),
                moment(batch.newest),
                units.seconds(batch.newest - batch.oldest),
            ]
            for batch in batches
        ],
        as_json=as_json,
        none="the store holds live recalls alone",
    )


@sources.command()
@click.argument("batch_id", metavar="ID")
@store_option
@as_json
def remove(batch_id: str, store: str | None, as_json: bool) -> None:
    """Take the batch ID out of the store, with its roll-ups.

    ID is a source as `athena-tuning sources` lists it, or what stands behind its colon.
    """
    with attached(store) as service:
        gone = service.remove_source(operator(), _source_of_id(batch_id, service.sources()))
    words = f"{gone.records:,} recalls of {gone.source} are out of the store"
    print_outcome({"removed": _plain(gone)}, words, as_json=as_json)


def _source_of_id(batch_id: str, there: list[SourceBatch]) -> str:
    """Return the source that a person means.

    Raises:
        ValueError: if several batches have the id.
    """
    meant = [batch.source for batch in there if batch_id in (batch.source, batch.id)]
    if len(meant) > 1:
        raise ValueError(f"{batch_id!r} is the id of {', '.join(meant)}: name one of them")
    return meant[0] if meant else batch_id


def _plain(batch: SourceBatch) -> dict[str, object]:
    return asdict(batch) | {"kind": batch.kind, "id": batch.id}
