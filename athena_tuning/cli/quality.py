"""``athena-tuning quality``: what each set of layers finds of the right answers, and what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from athena_tuning.service.quality import FusionAdvice


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
@click.option("--learn-fusion", is_flag=True, help="Learn what the ranks of each layer should count, too.")
@memory_option
@store_option
@as_json
def quality(
    gold: Path,
    ways: tuple[str, ...],
    k: int,
    learn_fusion: bool,
    memory: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Measure recall@k, MRR and layers a question: under the configs in force, and for each --layers.

    What leaving layers out costs stands beside what it saves, question by question against the configs in
    force. Intervals are 95 % of the mean over questions. Nothing is recorded in the store.

    --learn-fusion finds weights of layers and the rank constant on these questions, tries them on questions
    of scopes that were left out, and says how to put them in force.
    """
    from athena_tuning.service import quality as measuring
    from athena_tuning.store import open_store

    path = Path(memory) if memory else locations.default_memory()
    if not path.is_file():
        raise click.ClickException(f"there is no memory at {path}: load one with `athena-tuning ingest FILE`")
    try:
        questions = measuring.read_gold(gold)
        with open_store(store) as opened, progress_bar("Asking") as bar:
            task = bar.add_task("", total=len(questions) * (1 + len(set(ways)) + learn_fusion))
            in_force = opened.config_set()

            def advance(done: int) -> None:
                bar.advance(task, done)

            found = measuring.measure(path, questions, ways, in_force, k, advance)
            advice = None
            if learn_fusion:
                advice = measuring.learn_fusion(path, questions, in_force, k, advance)
    except ValueError as exc:
        raise click.ClickException(str(exc)) from exc
    if as_json:
        measured = [one.to_dict() for one in found]
        print_json(measured if advice is None else {"ways": measured, "fusion": advice.to_dict()})
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
    if advice is not None:
        console().print(Text(_told(advice, k)))


def _told(advice: FusionAdvice, k: int) -> str:
    weights = ", ".join(f"{layer} {weight:g}" for layer, weight in advice.weights.items()) or "1 for all"
    gained = advice.gained
    line = (
        f"Fusion: weights {weights}; rank constant {advice.rank_constant}. Learned without a question's own "
        f"scope it has recall@{k} {advice.left_out.mean:.3f}, the plain one {advice.recall.mean:.3f}: "
        f"{gained.mean:+.3f} ({gained.low:+.3f} to {gained.high:+.3f})."
    )
    if not advice.is_sure:
        return f"{line} That is not surely a gain: keep what is in force."
    return f"{line} To put it in force:\n  {advice.command}"
