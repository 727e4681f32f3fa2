"""``athena-tuning quality``: what each set of layers finds of the right answers, and what it costs."""

from __future__ import annotations

from pathlib import Path

import click
from rich.text import Text

from athena_tuning import locations
from athena_tuning.cli.output import (
    as_json,
    console,
    memory_option,
    print_json,
    print_table,
    progress_bar,
    store_option,
)


@click.command()
@click.option(
    "--gold",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Questions with their evidence, JSON lines: text, evidence (ids), scope.",
)
@click.option(
    "--layers",
    "ways",
    multiple=True,
    metavar="LAYERS",
    help='Layers joined by "+", after ">" those of a second round: "episodic+semantic>graph". Repeatable.',
)
@click.option("-k", default=10, show_default=True, type=click.IntRange(1, 1000), help="Pieces that count.")
@memory_option
@store_option
@as_json
def quality(
    gold: Path, ways: tuple[str, ...], k: int, memory: str | None, store: str | None, as_json: bool
) -> None:
    """Measure recall@k, MRR and layers a question: under the configs in force, and for each --layers.

    What leaving layers out costs stands beside what it saves, question by question against the configs in
    force. Intervals are 95 % of the mean over questions. Nothing is recorded in the store.
    """
    from athena_tuning.service.quality import measure, read_gold
    from athena_tuning.store import open_store

    path = Path(memory) if memory else locations.default_memory()
    if not path.is_file():
        raise click.ClickException(f"there is no memory at {path}: load one with `athena-tuning ingest FILE`")
    try:
        questions = read_gold(gold)
        with open_store(store) as opened, progress_bar("Asking") as bar:
            task = bar.add_task("", total=len(questions) * (1 + len(set(ways))))
            in_force = opened.config_set()
            found = measure(path, questions, ways, in_force, k, lambda done: bar.advance(task, done))
    except ValueError as exc:
        raise click.ClickException(str(exc)) from exc
    if as_json:
        print_json([one.to_dict() for one in found])
        return
    rows = [
        [
            one.way,
            *(f"{part.mean:.3f} ({part.low:.3f} to {part.high:.3f})" for part in (one.recall, one.lost)),
            f"{one.reciprocal_rank.mean:.3f}",
            f"{one.calls.mean:.2f}",
            f"{one.saved.mean:.2f}",
            one.partial,
        ]
        for one in found
    ]
    print_table(["layers", f"recall@{k}", "lost", "MRR", "calls", "saved", "partial"], rows)
    console().print(Text(f"{len(questions)} questions of {gold.name}; lost and saved beside {found[0].way}"))
