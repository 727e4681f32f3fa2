"""``athena-tuning report``: what came out of a run, or of two, as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from athena_tuning import locations
from athena_tuning.cli.output import as_json, print_json

if TYPE_CHECKING:
    from athena_tuning.workload.archive import RunArchive
    from athena_tuning.workload.summary import LoadSummary


@click.command()
@click.argument("run_id", metavar="RUN")
@click.argument("after_id", metavar="[RUN2]", required=False)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file (default: in the folder `reports` beside the data).",
)
@as_json
def report(run_id: str, after_id: str | None, out: Path | None, as_json: bool) -> None:
    """Write a report of RUN, or of RUN2 compared with RUN, that any browser shows without a connection.

    "newest" stands for the run that was kept last. `athena-tuning load list` names them all.
    """
    from athena_tuning.workload.archive import RunArchive
    from athena_tuning.workload.report.writing import write_report

    archive = RunArchive()
    before = _kept(archive, run_id)
    after = _kept(archive, after_id) if after_id else None
    names = [run.id for run in (before, after) if run is not None]
    path = out or locations.home() / "reports" / f"{'-'.join(names)}.html"
    if out is None:
        path.parent.mkdir(exist_ok=True)
    write_report(path, before, after)
    if as_json:
        print_json({"file": str(path), "runs": names, "bytes": path.stat().st_size})
    else:
        click.echo(f"report of {' and '.join(names)} in {path}")


def _kept(archive: RunArchive, run_id: str) -> LoadSummary:
    """Return a run.

    Raises:
        click.ClickException: if there is none with this id.
    """
    try:
        if run_id != "newest":
            return archive.load(run_id)
        return archive.newest(1)[0]
    except (KeyError, IndexError):
        raise click.ClickException(
            f"there is no run {run_id}: `athena-tuning load list` names those that are kept"
        ) from None
