"""How the command line speaks: tables for people, JSON for scripts, errors without a stack trace."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from athena_tuning.model import Source
from athena_tuning.model.source import kind_of
from athena_tuning.service.plain_json import without_nan

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn

Command = TypeVar("Command", bound=Callable[..., Any])

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

on_option = click.option(
    "--on",
    "cluster",
    metavar="URL",
    help="Ask a cluster of managers, nats://HOST:PORT[/NAME], in place of a memory file.",
)
layer_option = click.option(
    "--layer", "layers", multiple=True, metavar="NAME", help="Ask a layer of an installed package too."
)


def sources_option(default: frozenset[str] | None) -> Callable[[Command], Command]:
    """Return the option ``--source``, which may be given several times.

    Args:
        default: what is read without it; None for all.
    """
    known = [source.value for source in Source]

    def chosen(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> frozenset[str] | None:
        for value in values:
            if value != "all" and kind_of(value) not in known:
                raise click.BadParameter(
                    f"{value!r} is none of {', '.join(known)}, no batch of one, nor 'all'"
                )
        return None if "all" in values else frozenset(values) or default

    without = " and ".join(sorted(default, reverse=True)) if default else "all"
    return click.option(
        "--source",
        "sources",
        multiple=True,
        metavar="SOURCE",
        callback=chosen,
        help=f"Only recalls from here: {', '.join(known)}, a batch (KIND:ID, see `athena-tuning sources`)"
        f" or all. May be given again. Default: {without}.",
    )


def console() -> Console:
    """Return the console for standard output, as it is now (tests replace it)."""
    from rich.console import Console

    return Console(highlight=False)


def error_console() -> Console:
    """Return the console for standard error: what it shows never mixes with what a command prints."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def print_json(value: object) -> None:
    """Print ``value`` as JSON; a figure that is unknown (NaN) becomes null."""
    click.echo(json.dumps(without_nan(value), indent=2, ensure_ascii=False, allow_nan=False))


def print_text(words: str, *, style: str = "") -> None:
    """Print a line; text from outside is shown as it is, never as markup."""
    from rich.text import Text

    console().print(Text(words, style), soft_wrap=True)


def print_outcome(value: object, words: str, *, as_json: bool) -> None:
    """Print what came out, for a script or in words."""
    if as_json:
        print_json(value)
    else:
        print_text(words)


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str | None = None
) -> None:
    """Print rows under column names; text from outside is shown as it is, never as markup."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for at, name in enumerate(columns):
        table.add_column(Text(name), no_wrap=at == 0)  # a name that is cut is none
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    console().print(table)


def print_records(
    records: Sequence[object],
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    as_json: bool,
    none: str = "",
) -> None:
    """Print records for a script, or as a table; where there is none, in its place a line if one is given."""
    if as_json:
        print_json(records)
    elif none and not rows:
        print_text(none)
    else:
        print_table(columns, rows)


def progress_bar(*figures: ProgressColumn) -> Progress:
    """Return a progress bar on standard error, its tasks' descriptions before it.

    Args:
        figures: what stands behind it; without: how many of how many, and how long it may take.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *(figures or (MofNCompleteColumn(), TimeRemainingColumn())),
        console=error_console(),
        transient=True,
        disable=not error_console().is_terminal,
    )


@contextmanager
def errors_in_words() -> Iterator[None]:
    """Turn an expected failure into one line on standard error and exit code 1."""
    try:
        yield
    except Exception as error:
        from athena_tuning.extras import MissingExtra
        from athena_tuning.service.roles import NotAllowed
        from athena_tuning.store import StoreError

        if isinstance(error, (MissingExtra, StoreError, NotAllowed, OSError, ValueError)):
            raise click.ClickException(str(error)) from error
        raise


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:,.1f}"
    return str(value)
