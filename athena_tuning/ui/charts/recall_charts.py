"""Single recalls: how many took how long, and where one's time went."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome
from athena_tuning.profiling.overlap import time_covered
from athena_tuning.profiling.questions.recall_search import BANDS_MS, RecallQuery
from athena_tuning.service import text, units
from athena_tuning.ui.charts.panel import NAMES, Axis, Bars, Chart, Panel, listed
from athena_tuning.ui.charts.plotly_figure import figure, row_height
from athena_tuning.ui.theme import AMBER, BLUE, CRIMSON, MARK, QUIET


def bands(counts: Sequence[int], wanted: RecallQuery) -> Chart:
    """Draw how many recalls took how long; those that are looked for stand out, and bands can be chosen."""
    least, most = wanted.least_ms or 0.0, wanted.most_ms or float("inf")
    edges = list(pairwise(BANDS_MS))
    colours = [BLUE if low < most and high > least else MARK for low, high in edges]
    names = [f"{units.ms(low)} to {units.ms(high)}" for low, high in edges]
    bars = Bars(
        [float(n) for n in range(len(counts))], [float(n) for n in counts], "", colours, notes=names,
        hover="%{customdata}: %{y:,} recalls",
    )  # fmt: skip
    ticks = {float(n): units.ms(BANDS_MS[n]) for n in range(4, len(BANDS_MS) - 1, 4)}
    peak = max(range(len(counts)), key=counts.__getitem__)
    words = f"{sum(counts):,} recalls by latency, most of them {names[peak]}."
    used = [n for n, count in enumerate(counts) if count]
    span = (min(used) - 0.7, max(used) + 0.7) if used else None
    return figure(
        Panel([bars], Axis(ticks=ticks, lines=False, span=span), Axis(lines=False, labels=False), words),
        height=130,
    )


def waterfall(record: QueryMetrics) -> Chart:
    """Draw one recall along its time: all of it, then each layer's wait for a slot and its own time."""
    tasks = sorted(record.tasks, key=lambda task: task.offset_ms)
    names = _names(tasks)
    whole = [record.latency_ms] if record.latency_ms is not None else []
    waits, works = [t.queue_ms for t in tasks], [t.service_ms for t in tasks]
    starts, ready = [t.offset_ms for t in tasks], [t.offset_ms + t.queue_ms for t in tasks]
    fates = [BLUE if t.outcome == TaskOutcome.OK else CRIMSON for t in tasks]
    later = _second_round(record, tasks)
    said = [
        f"second round: {_words(task)}" if late else _words(task)
        for task, late in zip(tasks, later, strict=True)
    ]
    bars = [
        Bars(x, y, name, colour, labels=labels, hover=f"%{{y}}: {name} %{{x:.3g}} ms", sideways=True, **more)
        for x, y, name, colour, labels, more in (
            (whole, ["recall"] * len(whole), "the whole recall", QUIET, [], {"thickness": 0.3}),
            (waits, names, "waits for a slot", AMBER, [], {"base": starts, "opacity": 0.75}),
            (works, names, "served", fates, said, {"base": ready}),
        )
    ]
    figures = (f"{name} {words}" for name, words in zip(names, said, strict=True))
    words = f"A recall of {units.ms(record.latency_ms)}: {listed(figures, 'no layer ran')}."
    end = max([record.latency_ms or 0.0, *(r + w for r, w in zip(ready, works, strict=True))])
    room = Axis("ms since the recall began", span=(0.0, end * 1.65 or 1.0))  # words stand right of the bars
    return figure(Panel(bars, room, NAMES, words), height=row_height(len(tasks) + 1, least=150, each=34))


def outside_layers(record: QueryMetrics) -> str:
    """Say how much of a recall passed while no layer waited or served; "" where that is less than a quarter.

    Examples:
        >>> task = LayerTask("graph", 0.0, 0.0, 96.0, 4)
        >>> recall = QueryMetrics("q", "?", "meta", 0, 400.0, None, False, 1, ["graph"], {}, True)
        >>> outside_layers(recall._replace(tasks=(task,)))
        '304 ms passed outside of layers'
    """
    if not record.tasks or not record.latency_ms:
        return ""
    inside = time_covered((t.offset_ms, t.offset_ms + t.queue_ms + t.service_ms) for t in record.tasks)
    outside = record.latency_ms - inside
    return f"{units.ms(outside)} passed outside of layers" if outside > record.latency_ms / 4 else ""


def _second_round(record: QueryMetrics, tasks: Sequence[LayerTask]) -> list[bool]:
    """Return of each task whether it began once all before it had ended, though layers run in parallel."""
    later: list[bool] = []
    ended = 0.0
    for task in tasks:
        later.append(record.parallel_execution and 0.0 < ended <= task.offset_ms)
        ended = max(ended, task.offset_ms + task.queue_ms + task.service_ms)
    return later


def _names(tasks: Sequence[LayerTask]) -> list[str]:
    """Return a name for each task; a layer that was called again has it said."""
    names: list[str] = []
    for task in tasks:
        name = text.plotly(task.layer, 24)
        again = sum(known.partition(" · ")[0] == name for known in names)
        names.append(f"{name} · call {again + 1}" if again else name)
    return names


def _words(task: LayerTask) -> str:
    """Say what became of a layer task.

    Examples:
        >>> _words(LayerTask("graph", 0.0, 212.0, 96.0, 4, TaskOutcome.OK, 8))
        'waited 212 ms, served 96.0 ms, 8 results'
        >>> _words(LayerTask("graph", 0.0, 0.0, 500.0, 4, TaskOutcome.TIMEOUT))
        'no answer after 500 ms: given up'
        >>> _words(LayerTask("graph (2nd)", 250.0, 0.0, 96.0, 4, TaskOutcome.OK, 8))
        'answered first, after 96.0 ms'
    """
    waited = f"waited {units.ms(task.queue_ms)}, " if task.queue_ms >= 0.05 else ""
    if task.is_second_call:
        won = task.outcome == TaskOutcome.OK
        return f"{'answered first,' if won else 'given up'} after {units.ms(task.service_ms)}"
    if task.outcome == TaskOutcome.TIMEOUT:
        return f"{waited}no answer after {units.ms(task.service_ms)}: given up"
    if task.outcome == TaskOutcome.ERROR:
        return f"{waited}failed after {units.ms(task.service_ms)}"
    results = "1 result" if task.result_count == 1 else f"{units.count(task.result_count)} results"
    return f"{waited}served {units.ms(task.service_ms)}, {results}"
