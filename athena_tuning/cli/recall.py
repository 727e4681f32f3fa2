"""``athena-tuning ingest`` and ``athena-tuning recall``: a memory from a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from athena_tuning import locations
from athena_tuning.cli.output import (
    as_json,
    memory_option,
    on_option,
    print_json,
    print_table,
    print_text,
    progress_bar,
    store_option,
)
from athena_tuning.model import LayerTask

_BAR_WIDTH = 40


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@memory_option
@as_json
@click.pass_context
def ingest(ctx: click.Context, file: Path, memory: str | None, as_json: bool) -> None:
    """Load items of the memory layers from FILE (.jsonl or .jsonl.gz).

    A line that does not fit is reported by number with the reason; the others are loaded, and the exit code
    is 1.
    """
    from athena_tuning.recall import MemoryManager
    from athena_tuning.recall.ingest import ingest_file

    path = Path(memory) if memory else locations.default_memory()
    with MemoryManager(path) as manager, progress_bar() as bar:
        task = bar.add_task(f"Loading {file.name}", total=None)
        report = ingest_file(
            manager, file, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
    bad = [{"line": line, "reason": reason} for line, reason in report.bad]
    if as_json:
        loaded = {"memory": str(path), "loaded": report.loaded, "by_layer": dict(report.by_layer), "bad": bad}
        print_json(loaded)
    else:
        layers = ", ".join(f"{layer} {count}" for layer, count in sorted(report.by_layer.items()))
        print_text(f"{report.loaded} items in {path}" + (f": {layers}" if layers else ""))
    for line in () if as_json else bad:
        click.echo(f"line {line['line']}: {line['reason']}", err=True)
    if bad:
        ctx.exit(1)


@click.command()
@click.argument("text")
@click.option("-k", default=5, show_default=True, type=click.IntRange(1, 1000), help="Results wanted.")
@click.option("--scope", help="Only items of this scope (a project, a conversation).")
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="NAME",
    help="Ask this layer; without, those that TEXT calls for.",
)
@memory_option
@store_option
@on_option
@as_json
def recall(
    text: str,
    k: int,
    scope: str | None,
    layers: tuple[str, ...],
    memory: str | None,
    store: str | None,
    cluster: str | None,
    as_json: bool,
) -> None:
    """Ask the memory for TEXT and show the results and where the time went."""
    if cluster is not None:
        if memory or store:
            raise click.UsageError("--on asks a cluster, which has a memory and a store of its own")
        _print_answer(_ask_cluster(cluster, text, k, scope, layers), k, None, as_json)
        return
    from athena_tuning.recall import MemoryManager
    from athena_tuning.store import open_store

    path = Path(memory) if memory else locations.default_memory()
    if not path.is_file():
        raise click.ClickException(
            f"there is no memory at {path}: load one with `athena-tuning ingest FILE`, "
            "or start `athena-tuning dashboard` once for the sample memory"
        )
    with MemoryManager(path, store=open_store(store)) as manager:
        answer = manager.recall(text, k=k, scope=scope, layers=layers or None)
        tasks = manager.profiler.metrics[-1].tasks
    _print_answer(answer, k, tasks, as_json)


def _ask_cluster(url: str, text: str, k: int, scope: str | None, layers: tuple[str, ...]) -> dict[str, Any]:
    from athena_tuning.cluster import RecallCluster

    with RecallCluster(url) as cluster:
        return cluster.recall(text, k=k, scope=scope, layers=layers or None)


def _print_answer(
    answer: Mapping[str, Any], k: int, tasks: tuple[LayerTask, ...] | None, as_json: bool
) -> None:
    """Print an answer; ``tasks`` is None where they ran elsewhere."""
    if as_json:
        results = [dict(item) for item in answer["_fused"][:k]]
        told = {
            name[1:]: value for name, value in answer.items() if name.startswith("_") and name != "_fused"
        }
        timeline = {} if tasks is None else {"tasks": [task._asdict() for task in tasks]}
        print_json({"results": results, **timeline, **told})
        return
    _print_results(answer, k)
    _print_time(answer, tasks)


def _print_results(answer: Mapping[str, Any], k: int) -> None:
    fused = answer["_fused"][:k]
    if answer.get("_refused"):
        click.echo(f"refused: try again in {answer['_retry_after_s']:.1f} s", err=True)
    if not fused:
        print_text("Nothing found.")
    print_table(["", "layer", "text"], [[n, item["layer"], item["text"]] for n, item in enumerate(fused, 1)])
    for layer, problem in answer["_errors"].items():
        click.echo(f"{layer} did not answer: {problem}", err=True)


def _print_time(answer: Mapping[str, Any], tasks: tuple[LayerTask, ...] | None) -> None:
    total = answer["_latency_ms"]
    told = f"{total:.1f} ms · {answer['_query_type']} · config version {answer['_config_version']}"
    print_text(f"\n{told}" + (" · from the cache" if answer["_cache_hit"] else ""))
    if tasks is None:
        times = [[layer, answer["_queue_ms"][layer], ms] for layer, ms in answer["_layer_ms"].items()]
        if times:
            print_table(["layer", "wait ms", "service ms"], times)
        return
    rows = [[t.layer, t.queue_ms, t.service_ms, str(t.outcome), _timeline(t, total)] for t in tasks]
    if rows:
        print_table(["layer", "wait ms", "service ms", "", "when (░ waits, █ works)"], rows)


def _timeline(task: LayerTask, total_ms: float) -> str:
    scale = _BAR_WIDTH / max(total_ms, task.offset_ms + task.queue_ms + task.service_ms)
    start, waits = round(task.offset_ms * scale), round(task.queue_ms * scale)
    return " " * start + "░" * waits + "█" * max(1, round(task.service_ms * scale))
