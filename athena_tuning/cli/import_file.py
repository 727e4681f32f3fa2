"""``athena-tuning import``: what others measured, looked at first and brought into the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import DownloadColumn, TimeRemainingColumn

from athena_tuning.cli.access import moment
from athena_tuning.cli.output import (
    as_json,
    print_json,
    print_table,
    print_text,
    progress_bar,
    store_option,
)

if TYPE_CHECKING:
    from athena_tuning.interchange import Doubt, Import, Problem, Stored
    from athena_tuning.interchange.survey import Survey
    from athena_tuning.model import QueryMetrics

_SHOWN = 10
_MOST_NAMED = 20
_IS_ODD = 3
"""Exit code where a person has to say first that the file is right."""


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@click.option("--preview", is_flag=True, help="Show what the file is taken for; bring nothing in.")
@click.option("--format", "name", metavar="NAME", help="Read FILE as this format; else its content tells.")
@click.option("--list-formats", is_flag=True, help="Say which formats are known.")
@click.option(
    "--map",
    "corrections",
    multiple=True,
    metavar="WHAT=COLUMN[:UNIT]",
    help="Correct the mapping: latency=took:us, layer.graph=g_ms:ms, origin=UNIX_SECONDS, success= for "
    "none; may come again.",
)
@click.option(
    "--recall-span",
    metavar="NAME",
    help="Which spans of a trace are recalls: a name, or ATTRIBUTE=VALUE. Default: the outermost retrievals, "
    "else the first spans.",
)
@click.option(
    "--layer-attribute",
    metavar="NAME",
    help="Which attribute names the layer of a span. Default: athena.layer, else the names of retrievers.",
)
@click.option(
    "--on-error",
    default="skip",
    show_default=True,
    type=click.Choice(["skip", "refuse"]),
    help="Leave bad rows out, or take the file whole or not at all.",
)
@click.option("--yes", is_flag=True, help="Bring the file in although something about it is odd.")
@click.option("--encoding", help="How text is written. Default: by its byte order mark, else UTF-8.")
@click.option("--keep-times", is_flag=True, help="Leave times as they are, however old.")
@click.option("--again", is_flag=True, help="Bring a file in once more that has been imported.")
@store_option
@as_json
@click.pass_context
def import_file(
    ctx: click.Context,
    /,
    file: Path | None,
    preview: bool,
    name: str | None,
    list_formats: bool,
    corrections: tuple[str, ...],
    recall_span: str | None,
    layer_attribute: str | None,
    on_error: str,
    yes: bool,
    encoding: str | None,
    keep_times: bool,
    again: bool,
    store: str | None,
    as_json: bool,
) -> None:
    """Bring the queries of FILE into the store: traces, results of load tests, logs, tables.

    What FILE is, is told from its content (--list-formats says what is known); gzip is unpacked. What it
    does not hold stays unknown. Times older than the store keeps are moved up to now.

    Exit code 1: rows were left out, each told by number. 3: something about the file is odd (units, times,
    requests at once); nothing was brought in, --yes does it.
    """
    if list_formats:
        _list_formats(as_json)
        return
    if file is None:
        raise click.UsageError("Missing argument 'FILE'.")
    options = {
        "format": name,
        "recall_span": recall_span,
        "layer_attribute": layer_attribute,
        "on_bad": on_error,
        "encoding": encoding,
    }
    opened_file = _opened(file, corrections, options)
    if preview:
        _print_preview(opened_file, as_json)
        return
    from athena_tuning.interchange import NeedsConfirmation, store_import
    from athena_tuning.store import open_store

    try:
        with open_store(store) as opened, _progress(f"Importing {file.name}") as progress:
            came = store_import(
                opened_file, opened, keep_times=keep_times, again=again, confirmed=yes, progress=progress
            )
    except NeedsConfirmation as odd:
        _print_doubts(opened_file, odd.doubts, as_json)
        ctx.exit(_IS_ODD)
    _print_result(opened_file, came, as_json)
    if came.report.bad:
        ctx.exit(1)


def _list_formats(as_json: bool) -> None:
    from athena_tuning.interchange import registry

    known = registry()
    if as_json:
        formats = [{"name": r.name, "title": r.title, "refused": r.refuses} for r in known.recognisers]
        print_json({"formats": formats, "troubles": known.troubles})
        return
    print_table(["name", "format"], [[r.name, r.title] for r in known.recognisers])
    for trouble in known.troubles:
        click.echo(trouble, err=True)


def _opened(file: Path, corrections: Sequence[str], options: dict[str, Any]) -> Import:
    from athena_tuning.interchange import Import, registry

    if options["format"] is not None:
        try:
            registry().named(options["format"])
        except ValueError as error:
            raise click.UsageError(f"--format: {error}") from error
    opened_file = Import(file, **options)
    if not corrections:
        return opened_file
    if opened_file.mapping is None:
        hint = "; --recall-span and --layer-attribute choose its spans" if opened_file.span_names else ""
        raise click.UsageError(
            f"--map: {file.name} is of the format {opened_file.format}, which needs no mapping{hint}"
        )
    try:
        return Import(file, corrections=opened_file.mapping.changes_in(corrections), **options)
    except ValueError as error:
        raise click.UsageError(f"--map: {error}") from error


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    with progress_bar(DownloadColumn(), TimeRemainingColumn()) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print_preview(opened_file: Import, as_json: bool) -> None:
    records, problems = opened_file.preview(_SHOWN)
    with _progress(f"Reading {opened_file.path.name}") as progress:
        seen = opened_file.survey(progress)
    doubts = opened_file.doubts(seen, time.time())
    if as_json:
        print_json(
            {
                "file": str(opened_file.path),
                "format": opened_file.format,
                "title": opened_file.title,
                "confidence": opened_file.confidence,
                "reason": opened_file.reason,
                "columns": opened_file.columns,
                "mapping": opened_file.mapping.to_dict() if opened_file.mapping else None,
                "notes": opened_file.notes,
                "spans": opened_file.span_names,
                "attributes": opened_file.attribute_names,
                "figures": seen.to_dict(),
                "doubts": [asdict(doubt) for doubt in doubts],
                "records": [_plain(m) for m in records],
                "problems": [asdict(problem) for problem in problems],
            }
        )
        return
    print_text(f"{opened_file.path.name} ({opened_file.shape}): {opened_file.title}")
    print_text(f"format {opened_file.format}, {opened_file.confidence:.0%} sure: {opened_file.reason}")
    _print_mapping(opened_file)
    for note in opened_file.notes:
        print_text(note)
    if opened_file.span_names:
        print_text(f"spans: {_some(opened_file.span_names)}")
    columns = ["time", "type", "query", "latency ms", "success", "cache hit", "layers ms"]
    print_table(columns, [_row(m) for m in records])
    _print_figures(seen)
    _print_problems(problems, len(problems))
    for doubt in doubts:
        click.echo(f"odd: {doubt}", err=True)
    if doubts:
        click.echo("It is only brought in with --yes, or once it is corrected.", err=True)


def _print_mapping(opened_file: Import) -> None:
    mapping = opened_file.mapping
    if mapping is None:
        return
    units = {"start": mapping.time_unit, "end": mapping.time_unit, "latency": mapping.latency_unit}
    rows = [
        [what, column, mapping.layer_unit if what.startswith("layer") else units.get(what, "")]
        for what, column in mapping.columns.items()
    ]
    print_table(["what", "column", "unit"], rows)
    unused = [column for column in opened_file.columns if column not in mapping.columns.values()]
    if unused:
        print_text(f"not used: {_some(unused)}")


def _print_figures(seen: Survey) -> None:
    rows: list[Sequence[object]] = [
        [
            seen.count,
            seen.quantile_ms(0.5),
            seen.quantile_ms(0.99),
            seen.count - seen.known,
            seen.succeeded,
            seen.failed,
            seen.at_once,
            seen.length_s,
        ]
    ]
    names = ["queries", "p50 ms", "p99 ms", "no latency", "succeeded", "failed", "at once", "seconds"]
    print_table(names, rows)


def _print_doubts(opened_file: Import, doubts: Sequence[Doubt], as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "file": str(opened_file.path),
                "format": opened_file.format,
                "records": 0,
                "doubts": [asdict(doubt) for doubt in doubts],
            }
        )
    for doubt in doubts:
        click.echo(f"odd: {doubt}", err=True)
    click.echo(
        f"Nothing of {opened_file.path.name} was brought in. --preview shows what it is taken for; "
        "correct that with --map, --format or --recall-span, or bring it in as it is with --yes.",
        err=True,
    )


def _print_result(opened_file: Import, came: Stored, as_json: bool) -> None:
    report, name = came.report, opened_file.path.name
    if as_json:
        print_json(
            {
                "file": str(opened_file.path),
                "format": opened_file.format,
                "batch": came.batch,
                "records": report.records,
                "bad": report.bad,
                "passed": report.passed,
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
        print_text(f"{name} was imported {moment(came.earlier)}: --again brings it in once more")
        return
    from athena_tuning.store.retention import DEFAULT

    assert report.first is not None  # noqa: S101 (an import without a query is refused)
    assert report.last is not None  # noqa: S101
    span = f"{moment(report.first + came.moved_s)} to {moment(report.last + came.moved_s)}"
    queries = f"{report.records:,} {'query' if report.records == 1 else 'queries'}"
    print_text(f"{name} ({opened_file.format}): {queries}, {span}")
    if report.passed:
        print_text(f"{report.passed:,} rows are no requests and were passed over")
    if came.moved_s:
        print_text(
            f"times were moved by {came.moved_s / 86400:+,.1f} days, so that the newest is now; "
            "--keep-times leaves them"
        )
    if report.last - report.first > DEFAULT.raw:
        days = f"{(report.last - report.first) / 86400:,.1f}"
        print_text(f"they span {days} days; the store keeps the last {DEFAULT.raw / 86400:g}")
    _print_problems(report.problems, report.bad)


def _print_problems(problems: Sequence[Problem], bad: int) -> None:
    for problem in problems[:_MOST_NAMED]:
        click.echo(f"row {problem.row:,}: {problem.reason}", err=True)
    if bad > _MOST_NAMED:
        click.echo(
            f"and {bad - _MOST_NAMED:,} more rows were left out; --json tells of the first 1,000", err=True
        )


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


def _some(names: Sequence[str]) -> str:
    return f"{', '.join(names[:_MOST_NAMED])}{' …' if names[_MOST_NAMED:] else ''}"


def _plain(m: QueryMetrics) -> dict[str, Any]:
    from athena_tuning.interchange.record_json import to_plain

    return to_plain(m)
