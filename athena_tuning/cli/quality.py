"""``athena-tuning quality``: how good answers are by what is asked for them, and what that costs."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from athena_tuning import locations
from athena_tuning.cli.access import read_records
from athena_tuning.cli.output import (
    as_json,
    memory_option,
    print_json,
    print_table,
    print_text,
    progress_bar,
    store_option,
)

if TYPE_CHECKING:
    from athena_tuning.service.estimate import Estimate
    from athena_tuning.service.layer_quality import By
    from athena_tuning.service.quality import FusionAdvice


@click.command()
@click.option(
    "--gold",
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
@click.option("--leave-out-each", is_flag=True, help="Measure each layer left out, too.")
@click.option("-k", default=10, show_default=True, type=click.IntRange(1, 1000), help="Pieces that count.")
@click.option("--learn-fusion", is_flag=True, help="Learn what the ranks of each layer should count, too.")
@click.option("--feedback", is_flag=True, help="In place of --gold: the scores that answers were given.")
@click.option(
    "--by",
    type=click.Choice(("layers", "plan", "version")),
    help="With --feedback: what answers are told apart by (default: layers).",
)
@click.option(
    "--days",
    type=click.FloatRange(0, 3650, min_open=True),
    help="With --feedback: how far back (default: 7).",
)
@memory_option
@store_option
@as_json
def quality(
    gold: Path | None,
    ways: tuple[str, ...],
    leave_out_each: bool,
    k: int,
    learn_fusion: bool,
    feedback: bool,
    by: By | None,
    days: float | None,
    memory: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Measure recall@k, MRR and layers a question: under the configs in force, and for each --layers.

    What leaving layers out costs stands beside what it saves, question by question against the configs in
    force. Intervals are 95 % of the mean over questions. Nothing is recorded in the store.

    --learn-fusion finds weights of layers and the rank constant on these questions, tries them on questions
    of scopes that were left out, and says how to put them in force.

    --feedback reads from the store how good answers were found to be, by the layers that were asked, the
    plan or the config version, and for each layer what leaving it out would cost and save.
    """
    if (gold is None) is not feedback:
        raise click.UsageError("give --gold FILE, whose answers are known, or --feedback, one of the two")
    if gold is None:
        if ways or learn_fusion or leave_out_each:
            raise click.UsageError("--layers, --leave-out-each and --learn-fusion ask questions of --gold")
        _show_scores(store, by or "layers", days or 7.0, as_json)
    elif by or days:
        raise click.UsageError("--by and --days are of the scores of --feedback; --gold has none")
    else:
        _measure(gold, ways, leave_out_each, k, learn_fusion, memory, store, as_json)


def _measure(
    gold: Path,
    ways: tuple[str, ...],
    leave_out_each: bool,
    k: int,
    learn_fusion: bool,
    memory: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    from athena_tuning.model import LAYERS
    from athena_tuning.service import quality as measuring
    from athena_tuning.store import open_store

    path = Path(memory) if memory else locations.default_memory()
    if not path.is_file():
        raise click.ClickException(f"there is no memory at {path}: load one with `athena-tuning ingest FILE`")
    left_out = LAYERS if leave_out_each else ()
    try:
        questions = measuring.read_gold(gold)
        with open_store(store) as opened, progress_bar() as bar:
            asked = 1 + len(left_out) + len(set(ways)) + learn_fusion
            task = bar.add_task("Asking", total=len(questions) * asked)
            in_force = opened.config_set()

            def advance(done: int) -> None:
                bar.advance(task, done)

            found = measuring.measure(path, questions, ways, in_force, k, advance, left_out)
            learned = []
            if learn_fusion:
                learned = measuring.learn_fusion(path, questions, in_force, k, advance)
    except ValueError as exc:
        raise click.ClickException(str(exc)) from exc
    if as_json:
        measured = [one.to_dict() for one in found]
        if learned:
            overall, *by_type = [advice.to_dict() for advice in learned]
            print_json({"ways": measured, "fusion": overall, "fusion_by_type": by_type})
        else:
            print_json(measured)
        return
    rows = [
        [
            one.way,
            _interval(one.recall),
            _interval(one.lost),
            f"{one.reciprocal_rank.mean:.3f}",
            f"{one.calls.mean:.2f}",
            f"{one.saved.mean:.2f}",
            f"{one.saved_ms.mean:.2f}",
            one.partial,
        ]
        for one in found
    ]
    columns = ["layers", f"recall@{k}", "lost", "MRR", "calls", "saved", "ms saved", "partial"]
    print_table(columns, rows)
    asked_of = "1 question" if len(questions) == 1 else f"{len(questions)} questions"
    print_text(f"{asked_of} of {gold.name}; lost and saved beside {found[0].way}")
    for advice in learned:
        print_text(_advice_in_words(advice, k))


def _show_scores(store: str | None, by: By, days: float, as_json: bool) -> None:
    """Print how good the answers of a store were found to be, and what layers cost."""
    from athena_tuning.service import layer_quality
    from athena_tuning.service.store_follower import Tail
    from athena_tuning.service.view import View
    from athena_tuning.store import open_store

    with open_store(store) as opened:
        tail = Tail(opened, hours=days * 24)
        read_records(tail)
        history = opened.config_history(limit=1000)
    now = time.time()
    view = View(now - days * 86_400, now + 60)
    ways = layer_quality.scored_ways(tail.profiler, view, by, history)
    costs = layer_quality.layer_costs(tail.profiler, view)
    if as_json:
        print_json({"ways": [way.to_dict() for way in ways], "layers": [cost.to_dict() for cost in costs]})
        return
    print_table(
        [by, "scores", "score", "calls", "p50 ms", "p99 ms"],
        [[w.way, w.scores, _interval(w.score), f"{w.calls.mean:.2f}", w.p50_ms, w.p99_ms] for w in ways],
    )
    if not ways:
        print_text(f"Nobody has scored an answer in {days:g} days: see record_feedback.")
    print_table(
        ["without", "type", "score lost", "scores with, without", "calls saved", "ms saved", "slot ms saved"],
        [
            [
                cost.layer,
                cost.query_type,
                _interval(cost.score_lost),
                "{}, {}".format(*cost.scores),
                f"{cost.calls.mean:.2f}",
                _interval(cost.latency_ms, 1),
                _interval(cost.slot_ms, 1),
            ]
            for cost in costs
        ],
        title="What leaving a layer out would cost and save, a recall",
    )


def _interval(part: Estimate, digits: int = 3) -> str:
    if not part.is_known:
        return "–"
    if math.isnan(part.low):  # of one question
        return f"{part.mean:.{digits}f} (–)"
    return f"{part.mean:.{digits}f} ({part.low:.{digits}f} to {part.high:.{digits}f})"


def _advice_in_words(advice: FusionAdvice, k: int) -> str:
    weights = ", ".join(f"{layer} {weight:g}" for layer, weight in advice.weights.items()) or "1 for all"
    gained = advice.gained
    of = "" if advice.scope == "all" else f" of {advice.scope}, {advice.questions} questions"
    line = (
        f"Fusion{of}: weights {weights}; rank constant {advice.rank_constant}. "
        f"Learned without a question's own "
        f"scope it has recall@{k} {advice.left_out.mean:.3f}, the plain one {advice.recall.mean:.3f}: "
        f"{gained.mean:+.3f} ({gained.low:+.3f} to {gained.high:+.3f})."
    )
    if not advice.is_sure:
        return f"{line} That is not surely a gain: keep what is in force."
    return f"{line} To put it in force:\n  {advice.command}"
