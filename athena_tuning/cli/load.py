"""``athena-tuning load``: make load, keep what came out, and compare two runs, as the Simulate page does."""

from __future__ import annotations

import math
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import TextColumn

from athena_tuning import locations
from athena_tuning.cli.access import moment
from athena_tuning.cli.load_options import load_options, spec_of
from athena_tuning.cli.output import (
    as_json,
    memory_option,
    print_json,
    print_outcome,
    print_records,
    print_table,
    print_text,
    progress_bar,
    store_option,
)

if TYPE_CHECKING:
    from athena_tuning.load.compare import Comparison
    from athena_tuning.load.run_handle import LoadProgress, Run
    from athena_tuning.load.spec import LoadSpec
    from athena_tuning.load.summary import LoadSummary
    from athena_tuning.store import Store

_LOOK_S = 0.2
_RUN = click.argument("run_id", metavar="RUN")
_COLUMNS = ["run", "began", "load", "", "answers/s", "p50 ms", "p99 ms", "errors"]


@click.group()
def load() -> None:
    """Make load on a manager; list, show and compare what came out."""


@load.command()
@click.option(
    "--rate",
    default=10.0,
    show_default=True,
    metavar="RATE",
    type=click.FloatRange(0, 100_000, min_open=True),
    help="Recalls a second, on average.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0),
    help="How long; 0: until Ctrl+C. Default: 60, for a replay to its end.",
)
@load_options
@click.option(
    "--questions",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Ask the lines of this file, for a memory of your own. Default: what fits the sample memory.",
)
@click.option(
    "--on",
    "worker",
    metavar="WORKER",
    help="Ask a cluster, nats://HOST:PORT[/NAME]; or have a manager that shares the store ask itself: its id "
    "(see `athena-tuning workers`), or 'any'.",
)
@click.option("--cold", is_flag=True, help="Empty the manager's cache of answers before the first recall.")
@click.option(
    "--compare",
    "compare_with",
    metavar="RUN",
    help="Compare with this run in the end; 'newest': the last one.",
)
@memory_option
@store_option
@as_json
@click.pass_context
def run(
    ctx: click.Context,
    /,
    rate: float,
    seconds: float | None,
    questions: Path | None,
    worker: str | None,
    compare_with: str | None,
    memory: str | None,
    store: str | None,
    as_json: bool,
    **values: Any,
) -> None:
    """Ask a manager of its own, which shares the store as any other does, and keep what came out.

    With --on a cluster is asked, as its users ask it, or a manager that runs elsewhere asks itself. It runs
    until the load ends or Ctrl+C stops it; then the exit code is 1. Where the memory file is missing it is
    made from the sample memory, whose questions are asked.
    """
    from athena_tuning.load.archive import RunArchive
    from athena_tuning.load.remote_run import RemoteRun
    from athena_tuning.store import open_store

    archive = RunArchive()
    before = archive.find(compare_with) if compare_with else None
    whole = seconds is None and (values["replay_of"] or values["pattern"] == "replay")
    texts = _questions_by_type(questions) if questions else None
    if texts and not values["mix"]:
        values["mix"] = ",".join(f"{name}={len(found)}" for name, found in texts.items())
    on_cluster = worker is not None and "://" in worker
    if texts and worker is not None and not on_cluster:
        raise click.UsageError("--questions are asked here only, not --on a manager elsewhere")
    spec = spec_of(rate, None if whole or seconds == 0 else seconds or 60.0, values)
    path = Path(memory) if memory else locations.default_memory()
    with open_store(store) as opened:
        if worker is not None and on_cluster:
            came = _run_on_cluster(worker, opened, spec, texts)
        elif worker is not None:
            came = _watched(RemoteRun(opened, spec, worker="" if worker == "any" else worker).start())
        else:
            came = _run_here(path, opened, spec, texts)
    archive.save(came)
    _print_result(came, before, as_json)
    if came.state != "finished":
        ctx.exit(1)


@load.command("list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 500), help="Runs to show.")
@as_json
def list_runs(limit: int, as_json: bool) -> None:
    """List the runs that are kept, newest first."""
    from athena_tuning.load.archive import RunArchive

    runs = RunArchive().newest(limit)
    rows = [
        [
            kept.id,
            moment(kept.started) if kept.started else None,
            _load_of(kept),
            kept.state,
            kept.achieved_per_s,
            kept.p50_ms,
            kept.p99_ms,
            kept.errors,
        ]
        for kept in runs
    ]
    print_records([_without_blocks(kept) for kept in runs], _COLUMNS, rows, as_json=as_json)


@load.command()
@_RUN
@as_json
def show(run_id: str, as_json: bool) -> None:
    """Show what came out of RUN."""
    from athena_tuning.load.archive import RunArchive

    _print_result(RunArchive().find(run_id), None, as_json)


@load.command()
@click.argument("before", metavar="BEFORE")
@click.argument("after", metavar="AFTER")
@as_json
def compare(before: str, after: str, as_json: bool) -> None:
    """Say whether AFTER was better than BEFORE, with intervals."""
    from athena_tuning.load.archive import RunArchive
    from athena_tuning.load.compare import compare as compared

    archive = RunArchive()
    found = compared(archive.find(before), archive.find(after))
    if as_json:
        print_json(found.to_dict())
    else:
        _tell_comparison(found)


@load.command()
@click.argument("file", type=click.Path(dir_okay=False, writable=True, path_type=Path))
@click.option("--limit", default=500, show_default=True, type=click.IntRange(1, 500), help="Newest runs.")
@as_json
def export(file: Path, limit: int, as_json: bool) -> None:
    """Write the runs that are kept to FILE, whose ending is the format: .csv, .jsonl or .parquet."""
    from athena_tuning.load.archive import RunArchive
    from athena_tuning.load.export_runs import export_runs

    count = export_runs(RunArchive().newest(limit), file)
    print_outcome({"file": str(file), "runs": count}, f"{count} runs in {file}", as_json=as_json)


@load.command()
@_RUN
def delete(run_id: str) -> None:
    """Forget RUN."""
    from athena_tuning.load.archive import RunArchive

    if not RunArchive().delete(run_id):
        raise click.ClickException(f"there is no run {run_id}")
    click.echo(f"run {run_id} is forgotten")


@load.command()
@_RUN
@click.argument("state", type=click.Choice(["pause", "resume", "stop"]))
@store_option
def steer(run_id: str, state: str, store: str | None) -> None:
    """Pause, resume or stop RUN, which a manager elsewhere was ordered to make."""
    from athena_tuning.load import remote_run
    from athena_tuning.store import open_store

    with open_store(store) as opened:
        try:
            remote_run.steer(opened, run_id, "run" if state == "resume" else state)
        except KeyError:
            raise click.ClickException(f"no load run {run_id} was ordered through this store") from None
    click.echo(f"run {run_id} is told to {state}")


def _questions_by_type(file: Path) -> dict[str, list[str]]:
    """Return the questions of a file by type."""
    from athena_tuning.samples.queries import questions_from

    with file.open(encoding="utf-8", errors="replace") as lines:
        found = questions_from(lines)
    if not found:
        raise click.UsageError(f"--questions: {file} holds none")
    return found


def _run_here(
    memory: Path, store: Store, spec: LoadSpec, questions: Mapping[str, Sequence[str]] | None
) -> LoadSummary:
    """Run a load on a manager of this process."""
    from athena_tuning.load.recordings import recorded_for
    from athena_tuning.load.run import LoadRun
    from athena_tuning.service.embedded import Embedded

    here = Embedded(memory, store)
    try:
        recorded = recorded_for(spec, store)
        return _watched(LoadRun(here.manager, spec, questions=questions, recorded=recorded).start())
    finally:
        here.close()


def _run_on_cluster(
    url: str, store: Store, spec: LoadSpec, questions: Mapping[str, Sequence[str]] | None
) -> LoadSummary:
    """Run a load on a cluster, from this process."""
    from athena_tuning.cluster import RecallCluster
    from athena_tuning.load.recordings import recorded_for
    from athena_tuning.load.run import LoadRun

    recorded = recorded_for(spec, store)
    with RecallCluster(url) as cluster:
        return _watched(LoadRun(cluster, spec, questions=questions, recorded=recorded).start())


def _watched(under_way: Run) -> LoadSummary:
    """Show how far a run is until it ends or is interrupted, and return what came out."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    with progress_bar(TextColumn("{task.fields[figures]}")) as bar:
        task = bar.add_task(f"run {under_way.id}", total=1.0, figures="")
        try:
            while not under_way.wait(_LOOK_S):
                at = under_way.progress()
                bar.update(task, figures=_progress_line(at), completed=at.share or 0.0)
        except KeyboardInterrupt:
            under_way.stop()
        finally:
            signal.signal(signal.SIGTERM, before)
    came = under_way.summary()
    if came is None:
        raise click.ClickException(f"load run {under_way.id} failed: {under_way.failure}")
    return came


def _progress_line(at: LoadProgress) -> str:
    figures = f"p50 {at.p50_ms:,.1f} ms, p99 {at.p99_ms:,.1f} ms" if at.finished else "no answer yet"
    return f"{at.elapsed_s:,.0f} s · {at.finished:,} answered, {at.achieved_per_s:,.0f}/s · {figures}"


def _print_result(came: LoadSummary, before: LoadSummary | None, as_json: bool) -> None:
    from athena_tuning.load.compare import compare as compared

    comparison = compared(before, came) if before is not None else None
    if as_json:
        printed = _without_blocks(came)
        print_json(printed | {"comparison": comparison.to_dict()} if comparison else printed)
        return
    print_text(f"run {came.id}: {_load_of(came)}, {came.state} after {came.elapsed_s:,.1f} s")
    print_table(["", ""], [[name, value] for name, value in _figures(came)])
    if comparison:
        _tell_comparison(comparison)


def _figures(came: LoadSummary) -> list[tuple[str, str]]:
    known = came.cache_known
    rows = [
        ("offered", f"{came.offered:,} ({came.offered_per_s:,.1f}/s)"),
        ("answered", f"{came.finished - came.errors:,} ({came.achieved_per_s:,.1f}/s)"),
        (
            "p50, p90, p95, p99, p99.9 from when due",
            ", ".join(_ms(ms) for ms in (came.p50_ms, came.p90_ms, came.p95_ms, came.p99_ms, came.p999_ms)),
        ),
        ("p50, p99 of the manager alone", f"{_ms(came.service_p50_ms)}, {_ms(came.service_p99_ms)}"),
        ("asked late, p99", _ms(came.late_p99_ms)),
        ("from the cache", f"{came.cache_hits / known:.1%}" if known else "–"),
        ("partial answers", f"{came.partials:,}"),
        ("errors", f"{came.errors:,}"),
        *((f"  {name}", f"{n:,}") for name, n in came.errors_by_name.items()),
    ]
    versions = ", ".join(f"v{version}: {n:,}" for version, n in came.config_versions.items())
    return [*rows, ("config versions", versions or "–")]


def _tell_comparison(comparison: Comparison) -> None:
    for note in comparison.notes:
        print_text(note)
    print_table(
        ["measure", "before", "after", "change", "95 % interval", "verdict"],
        [
            [
                d.measure,
                _in_unit(d.before, d.unit),
                _in_unit(d.after, d.unit),
                _signed(d.change),
                "–" if math.isnan(d.low) else f"{_signed(d.low)} to {_signed(d.high)}",
                d.verdict.value,
            ]
            for d in comparison.differences
        ],
        title=f"{comparison.before} → {comparison.after}",
    )
    reasons: dict[str, list[str]] = {}
    for d in comparison.differences:
        reasons.setdefault(d.why, []).append(d.measure)
    for why in filter(None, reasons):
        print_text(f"{', '.join(reasons[why])}: {why}")


def _load_of(came: LoadSummary) -> str:
    spec = came.spec
    if spec.clients is not None:
        return f"{spec.clients} clients"
    if spec.pattern == "replay":
        return f"replay of {spec.replay_of} at {spec.speed:g}x"
    return f"{spec.pattern} at {spec.rate_per_s:g}/s"


def _without_blocks(came: LoadSummary) -> dict[str, Any]:
    return {name: value for name, value in came.to_dict().items() if name not in ("blocks", "block_s")}


def _ms(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:,.1f} ms"


def _signed(share: float) -> str:
    return "–" if math.isnan(share) else f"{share:+.1%}"


def _in_unit(value: float, unit: str) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.1%}" if unit == "share" else f"{value:,.1f} {unit}".replace(" 1/s", "/s")
