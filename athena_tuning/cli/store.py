"""``athena-tuning store``: check a store, copy it, put a copy back, save what can be read, make it small."""

from __future__ import annotations

import getpass
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from athena_tuning.cli.output import (
    as_json,
    print_json,
    print_outcome,
    print_table,
    print_text,
    progress_bar,
    store_option,
)

if TYPE_CHECKING:
    from athena_tuning.store.sqlite_salvage import Progress

_TO_CONFIRM = 3
"""Exit code where a person has to say first that it is meant."""

_yes = click.option("--yes", is_flag=True, help="Do it although the store holds something.")


@click.group()
def store() -> None:
    """Take care of a store. Managers may go on with it meanwhile.

    Backup, restore and repair are for SQLite; PostgreSQL has tools of its own, which are named.
    """


@store.command()
@store_option
@as_json
@click.pass_context
def check(ctx: click.Context, store: str | None, as_json: bool) -> None:
    """Read all that the store holds and look for damage; change nothing. Exit code 1: it is damaged."""
    from athena_tuning.store import care

    with _progress("Checking") as progress:
        report = care.check(store, progress)
    if as_json:
        print_json(asdict(report) | {"sound": not report.damage})
    else:
        print_table(
            ["records", "roll-ups", "config versions", "decisions", "bytes"],
            [[report.records, report.rollups, report.config_versions, report.decisions, report.bytes]],
        )
        for row in report.unreadable:
            print_text(f"passed over, because it cannot be read: {row.kind} {row.key}: {row.why}")
        for line in report.damage:
            print_text(f"damaged: {line}")
        state = "damaged: `athena-tuning store repair` saves what can be read" if report.damage else "sound"
        print_text(f"store {report.store_id}, epoch {report.epoch}: {state}")
    if report.damage:
        ctx.exit(1)


@store.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@store_option
@as_json
def backup(file: Path, store: str | None, as_json: bool) -> None:
    """Copy the store into a new FILE, as it is at one moment, and check the copy."""
    from athena_tuning.store import care

    with _progress("Copying") as progress:
        care.backup(store, file, progress)
    size = file.stat().st_size
    print_outcome({"file": str(file), "bytes": size}, f"{file}: {size:,} bytes, sound", as_json=as_json)


@store.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_yes
@store_option
@as_json
@click.pass_context
def restore(ctx: click.Context, file: Path, yes: bool, store: str | None, as_json: bool) -> None:
    """Put the content of a backup FILE in place of the store's. Managers notice it and obey what it holds.

    What was stored since the backup is gone then: where there is something, exit code 3, until --yes.
    """
    from athena_tuning.store import StoreError, care

    try:
        held = care.holds(store)
    except StoreError:
        held = 0  # it cannot be opened; it is kept beside what is restored
    if held and not yes:
        words = "the store holds something, which would be gone: make a backup of it, then say --yes"
        print_outcome({"restored": False, "why": words}, words, as_json=as_json)
        ctx.exit(_TO_CONFIRM)
    with _progress("Restoring") as progress:
        care.restore(store, file, getpass.getuser(), progress)
    print_outcome({"restored": True, "file": str(file)}, f"restored from {file}", as_json=as_json)


@store.command()
@store_option
@as_json
def repair(store: str | None, as_json: bool) -> None:
    """Save all rows of a damaged file that can be read. The damaged file is kept beside the store."""
    from athena_tuning.store import care

    with _progress("Saving what can be read") as progress:
        lost = care.repair(store, getpass.getuser(), progress)
    told = ", ".join(f"{rows} of {table}" for table, rows in lost.items()) or "none"
    print_outcome(
        {"lost": lost}, f"rows, or stretches of rows, that could not be read: {told}", as_json=as_json
    )


@store.command()
@store_option
@as_json
def compact(store: str | None, as_json: bool) -> None:
    """Forget what is older than the retention, and give what is free back to the disk."""
    from athena_tuning.store import care

    with _progress("Compacting") as progress:
        done = care.compact(store, progress)
    sizes = f"{done.before:,} bytes before, {done.after:,} now" if done.before is not None else done.note
    print_outcome(asdict(done), sizes, as_json=as_json)


@contextmanager
def _progress(what: str) -> Iterator[Progress]:
    """Show how far it is, at most ten times a second; where the end is not known, that it goes on."""
    with progress_bar() as bar:
        task = bar.add_task(what, total=None)
        printed_at = 0.0

        def tell(done: int, total: int) -> None:
            nonlocal printed_at
            now = time.monotonic()
            if now - printed_at >= 0.1 or done == total > 0:
                printed_at = now
                bar.update(task, completed=done, total=total or None)

        yield tell
