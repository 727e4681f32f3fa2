"""How the command line speaks: tables for people, JSON for scripts, errors without a stack trace."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
memory_option = click.option(
    "--memory",
    type=click.Path(dir_okay=False),
    help="Memory file (default: ATHENA_TUNING_MEMORY, else memory.db in the data folder).",
)
store_option = click.option(
    "--store",
    metavar="URL",
    help="sqlite:///FILE or postgresql://… (default: ATHENA_TUNING_STORE, else a local file).",
)


def console() -> Console:
    """Return the console for standard output, as it is now (tests replace it)."""
    return Console(highlight=False)


def error_console() -> Console:
    """Return the console for standard error: what it shows never mixes with what a command prints."""
    return Console(stderr=True, highlight=False)


def print_json(value: object) -> None:
    """Print ``value`` as JSON; a figure that is unknown (NaN) becomes null."""
    click.echo(json.dumps(_without_nan(value), indent=2, ensure_ascii=False, allow_nan=False))


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str | None = None
) -> None:
    """Print rows under column names; text from outside is shown as it is, never as markup."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for at, name in enumerate(columns):
        table.add_column(Text(name), no_wrap=at == 0)  # a name that is cut is none
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    console().print(table)


def progress_bar(what: str) -> Progress:
    """Return a progress bar on standard error."""
    return Progress(
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=error_console(),
        transient=True,
    )


@contextmanager
def told() -> Iterator[None]:
    """Turn an expected failure into one line on standard error and exit code 1."""
    from athena_tuning.extras import MissingExtra
    from athena_tuning.service.roles import NotAllowed
    from athena_tuning.store import StoreError

    try:
        yield
    except (MissingExtra, StoreError, NotAllowed, OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:,.1f}"
    return str(value)


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(inner) for inner in value]
    return value
