"""``athena-tuning ingest-git``: a memory from a git repository."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from athena_tuning import locations
from athena_tuning.cli.output import as_json, memory_option, print_json, print_text, progress_bar


@click.command("ingest-git")
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option("--scope", help="The repository's name in the memory (default: its folder's name).")
@memory_option
@as_json
def ingest_git(path: Path, scope: str | None, memory: str | None, as_json: bool) -> None:
    """Make a memory of the git repository at PATH (default: here), or bring it up to date.

    Commits become episodes, documentation and docstrings facts, make targets, scripts and CI procedures, TODO
    and open boxes plans, imports and files that change together relations. Another run takes what is new and
    forgets what is gone.
    """
    from athena_tuning.integrations.git.ingest import ingest_git as ingest
    from athena_tuning.recall import MemoryManager

    where = Path(memory) if memory else locations.default_memory()
    with MemoryManager(where) as manager, progress_bar() as bar:
        tasks = {what: bar.add_task(f"Reading {what}", total=None) for what in ("commits", "files")}
        report = ingest(
            manager,
            path,
            scope,
            progress=lambda what, done, total: bar.update(tasks[what], completed=done, total=total),
        )
    if as_json:
        print_json({"memory": str(where), **asdict(report)})
        return
    read = f"{report.commits} commits and {report.files} files read"
    kept = f"{report.remembered} items kept, {report.forgotten} forgotten"
    print_text(f"{report.scope}: {read}; {kept}, in {where}")
    if report.by_layer:
        print_text(", ".join(f"{layer} {n}" for layer, n in sorted(report.by_layer.items())))
    for note in report.notes:
        click.echo(note, err=True)
