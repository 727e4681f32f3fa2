"""``athena-tuning report``: what came out of a run, or of two, as one HTML file."""

from __future__ import annotations

from pathlib import Path

import click

from athena_tuning import locations
from athena_tuning.cli.output import as_json, print_outcome


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
    from athena_tuning.load.archive import RunArchive
    from athena_tuning.load.report.writing import write_report

    archive = RunArchive()
    before = archive.find(run_id)
    after = archive.find(after_id) if after_id else None
    names = [run.id for run in (before, after) if run is not None]
    path = out or locations.home() / "reports" / f"{'-'.join(names)}.html"
    if out is None:
        locations.make_private_folder(path.parent)
    write_report(path, before, after)
    outcome = {"file": str(path), "runs": names, "bytes": path.stat().st_size}
    print_outcome(outcome, f"report of {' and '.join(names)} in {path}", as_json=as_json)
