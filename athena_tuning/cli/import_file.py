"""``athena-tuning import``: what others measured, looked at first and brought into the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from athena_tuning import locations
from athena_tuning.cli.access import moment
from athena_tuning.cli.output import (
    as_json,
    console,
    error_console,
    print_json,
    print_table,
    store_option,
)

if TYPE_CHECKING:
    from athena_tuning.interchange import Import, Problem, Stored
    from athena_tuning.model import QueryMetrics

_SHOWN = 10
_TOLD = 20


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--preview", is_flag=True, help="Show what the file is taken for; bring nothing in.")
@click.option(
    "--map",
    "corrections",
    multiple=True,
    metavar="WHAT=COLUMN[:UNIT]",
    help="Correct the mapping: latency=took:us, layer.graph=g_ms:ms, success= for none; may come again.",
)
@click.option(
    "--on-error",
    default="skip",
    show_default=True,
    type=click.Choice(["skip", "refuse"]),
    help="Leave bad rows out, or take the file whole or not at all.",
)
@click.option("--encoding", help="How text is written. Default: by its byte order mark, else UTF-8.")
@click.option("--keep-times", is_flag=True, help="Leave times as they are, however old.")
@click.option("--again", is_flag=True, help="Bring a file in once more that has been imported.")
@store_option
@as_json
@click.pass_context
def import_file(
    ctx: click.Context,
    /,
    file: Path,
    preview: bool,
    corrections: tuple[str, ...],
    on_error: str,
    encoding: str | None,
    keep_times: bool,
    again: bool,
    store: str | None,
    as_json: bool,
) -> None:
    """Bring the queries of FILE into the store: CSV, JSON lines, Parquet, OTLP, Jaeger or Zipkin.

    What FILE is, is told from its content; gzip is unpacked. What it does not hold stays unknown. Bad rows
    are told by number; if any were left out, the exit code is 1. Times older than the store keeps are moved
    up to now.
    """
    found = _opened(file, corrections, on_error, encoding)
    if preview:
        _show(found, as_json)
        return
    came = _brought(found, store or locations.default_store_url(), keep_times=keep_times, again=again)
    _tell(found, came, as_json)
    if came.report.bad:
        ctx.exit(1)


def _opened(file: Path, corrections: Sequence[str], on_error: str, encoding: str | None) -> Import:
    from athena_tuning.interchange import Import

    on_bad: Any = on_error
    found = Import(file, on_bad=on_bad, encoding=encoding)
    if not corrections:
        return found
    if found.mapping is None:
        raise click.UsageError(f"--map: {file.name} is {found.kind.format}, which needs no mapping")
    try:
        mapping = found.mapping.corrected_by(corrections)
        mapping.check(found.columns)
    except ValueError as error:
        raise click.UsageError(f"--map: {error}") from error
    return Import(file, mapping, on_bad=on_bad, encoding=encoding)


def _brought(found: Import, url: str, *, keep_times: bool, again: bool) -> Stored:
    from athena_tuning.interchange import store_import
    from athena_tuning.store import open_store

    bar = Progress(
        TextColumn(f"Importing {found.path.name}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=error_console(),
        transient=True,
    )
    with open_store(url) as store, bar:
        task = bar.add_task("", total=None)
        return store_import(
            found,
            store,
            keep_times=keep_times,
            again=again,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


def _show(found: Import, as_json: bool) -> None:
    records, problems = found.preview(_SHOWN)
    mapping = found.mapping
    if as_json:
        print_json(
            {
                "file": str(found.path),
                "format": found.kind.format.value,
                "columns": found.columns,
                "mapping": mapping.to_dict() if mapping else None,
                "notes": found.notes,
                "records": [_plain(m) for m in records],
                "problems": [asdict(problem) for problem in problems],
            }
        )
        return
    console().print(Text(f"{found.path.name}: {found.kind.format.value}"))
    if mapping:
        units = {"start": mapping.time_unit, "end": mapping.time_unit, "latency": mapping.latency_unit}
        rows = [
            [what, column, mapping.layer_unit if what.startswith("layer") else units.get(what, "")]
            for what, column in mapping.columns.items()
        ]
        print_table(["what", "column", "unit"], rows)
        unused = [column for column in found.columns if column not in mapping.columns.values()]
        if unused:
            console().print(Text(f"not used: {', '.join(unused[:_TOLD])}{' …' if unused[_TOLD:] else ''}"))
    for note in found.notes:
        console().print(Text(note))
    columns = ["time", "type", "query", "latency ms", "success", "cache hit", "layers ms"]
    print_table(columns, [_row(m) for m in records])
    _tell_problems(problems, len(problems))


def _tell(found: Import, came: Stored, as_json: bool) -> None:
    report, name = came.report, found.path.name
    if as_json:
        print_json(
            {
                "file": str(found.path),
                "records": report.records,
                "bad": report.bad,
                "problems": [asdict(problem) for problem in report.problems],
                "backwards": report.backwards,
                "moved_s": came.moved_s,
                "first": None if report.first is None else report.first + came.moved_s,
                "last": None if report.last is None else report.last + came.moved_s,
                "imported_before": came.earlier,
            }
        )
        return
    if came.earlier is not None:
        console().print(Text(f"{name} was imported {moment(came.earlier)}: --again brings it in once more"))
        return
    from athena_tuning.store.retention import DEFAULT

    assert report.first is not None  # noqa: S101 (an import without a query is refused)
    assert report.last is not None  # noqa: S101
    span = f"{moment(report.first + came.moved_s)} to {moment(report.last + came.moved_s)}"
    console().print(
        Text(f"{name}: {report.records:,} {'query' if report.records == 1 else 'queries'}, {span}")
    )
    if came.moved_s:
        console().print(
            Text(
                f"times were moved by {came.moved_s / 86400:+,.1f} days, so that the newest is now; "
                "--keep-times leaves them"
            )
        )
    if report.last - report.first > DEFAULT.raw:
        days = f"{(report.last - report.first) / 86400:,.1f}"
        console().print(Text(f"they span {days} days; the store keeps the last {DEFAULT.raw / 86400:g}"))
    _tell_problems(report.problems, report.bad)


def _tell_problems(problems: Sequence[Problem], bad: int) -> None:
    for problem in problems[:_TOLD]:
        click.echo(f"row {problem.row:,}: {problem.reason}", err=True)
    if bad > _TOLD:
        click.echo(f"and {bad - _TOLD:,} more rows were left out; --json tells of the first 1,000", err=True)


def _row(m: QueryMetrics) -> list[object]:
    layers = ", ".join(
        f"{layer} {m.layer_latencies[layer]:,.1f}" if layer in m.layer_latencies else layer
        for layer in m.layers_queried
    )
    return [
        moment(m.timestamp),
        m.query_type,
        m.query_text[:60],
        m.latency_ms,
        m.success,
        m.cache_hit,
        layers,
    ]


def _plain(m: QueryMetrics) -> dict[str, Any]:
    from athena_tuning.interchange.record_json import to_plain

    return to_plain(m)
