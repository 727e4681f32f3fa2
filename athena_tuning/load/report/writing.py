"""What a report of a run says, and one of two runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from athena_tuning.interchange.export import replacing
from athena_tuning.load.blocks import Block
from athena_tuning.load.compare import Comparison, Difference, Verdict, compare
from athena_tuning.load.report import page
from athena_tuning.load.report.svg import HALF, Axis, Interval, Series, intervals, lines, number
from athena_tuning.load.summary import LoadSummary
from athena_tuning.profiling import LatencyHistogram

LEAST_BEYOND = 5
"""A percentile is shown where so many recalls lie beyond it; fewer say nothing."""

_PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_SHARES = (0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99999)
_RECALLS = 120
"""A stretch of the charts over time has at least about so many recalls, enough for a p95."""

_NAMES = {
    "pattern": "pattern",
    "rate_per_s": "recalls a second",
    "duration_s": "seconds",
    "mix": "mix of types",
    "repetition": "repetition (Zipf)",
    "seed": "seed",
    "clients": "clients",
    "think_s": "pause of a client, s",
    "k": "results asked for",
    "replay_of": "replays",
    "speed": "speed of the replay",
    "cv": "inter-arrival CV",
    "dispersion": "index of dispersion",
    "window_s": "its window, s",
}
_ONLY_FOR = {
    "replay": ("replay_of", "speed"),
    "bursty": ("cv", "dispersion", "window_s"),
}


def run_report(run: LoadSummary) -> str:
    """Return the report of a run as an HTML document."""
    over_time = _percentiles_over_time(run)
    return page.page(
        f"Run {run.id}",
        [
            page.heading(f"Run {run.id}", _about(run)),
            page.cards(_figures(run)),
            page.notes(_warnings(run)),
            page.section(
                "Latency over the run",
                page.legend({line.name: line.look for line in over_time}),
                lines(over_time, _time_axis(run), Axis("ms"), _describe_blocks(run)),
                page.folded("The figures", _block_table(run)),
            ),
            page.side_by_side(
                page.section("Percentiles", _percentile_chart({"now": run})),
                page.section("Answers a second", _rate_chart({"now": run})),
            ),
            page.side_by_side(
                page.section("By type of query", _type_table(run)),
                page.section("What was asked for", _spec_table(run)),
            ),
            page.side_by_side(
                page.section("Errors", _counted_table("error", run.errors_by_name)),
                page.section("Config versions in force", _counted_table("version", run.config_versions)),
            ),
            _footer(),
        ],
    )


def comparison_report(before: LoadSummary, after: LoadSummary) -> str:
    """Return the report of two runs beside each other as an HTML document."""
    comparison = compare(before, after)
    runs = {"was": before, "now": after}
    key = page.legend({f"before: {before.id}": "was", f"after: {after.id}": "now"})
    return page.page(
        f"Runs {before.id} and {after.id}",
        [
            page.heading(f"{before.id} → {after.id}", _verdict(comparison)),
            page.notes([*comparison.notes, *_warnings(before), *_warnings(after)]),
            page.section(
                "What changed",
                intervals(_bars(comparison), _describe_changes(comparison)),
                page.folded("The figures", _difference_table(comparison)),
            ),
            page.side_by_side(
                page.section("Percentiles", key, _percentile_chart(runs)),
                page.section("Answers a second", key, _rate_chart(runs)),
            ),
            page.section("p95 over the run", key, _p95_chart(runs)),
            page.section("What was asked for", _spec_table(before, after)),
            _footer(),
        ],
    )


def write_report(path: Path | str, before: LoadSummary, after: LoadSummary | None = None) -> None:
    """Write the report of a run, or of two; a file that is there is replaced once the new one is whole.

    Raises:
        OSError: if it cannot be written.
    """
    text = run_report(before) if after is None else comparison_report(before, after)
    with replacing(Path(path)) as new:
        new.write_text(text, "utf-8")


# What the figures are


def _about(run: LoadSummary) -> str:
    begun = (
        datetime.fromtimestamp(run.started, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if run.started else "never"
    )
    who = (
        f"{run.spec.clients} clients"
        if run.spec.closed
        else f"{number(run.spec.rate_per_s)} recalls a second"
    )
    came = f"{number(run.offered_per_s)} offered a second"
    return f"{run.spec.pattern}, {who} · {came} · began {begun} · {number(run.elapsed_s)} s · {run.state}"


def _figures(run: LoadSummary) -> dict[str, str]:
    return {
        "recalls": f"{run.finished:,}",
        "answers a second": number(run.achieved_per_s),
        "p50": f"{number(run.p50_ms)} ms",
        "p95": f"{number(run.p95_ms)} ms",
        "p99": f"{number(run.p99_ms)} ms",
        "errors": _share(run.errors, run.finished),
        "partial": _share(run.partials, run.finished),
        "from the cache": _share(run.cache_hits, run.cache_known),
    }


def _warnings(run: LoadSummary) -> list[str]:
    warnings = []
    if run.late_p99_ms > 5:
        warnings.append(
            f"run {run.id}: recalls were called up to {number(run.late_p99_ms)} ms late (p99): "
            "the machine was full, or more were outstanding than may be"
        )
    if run.finished < LEAST_BEYOND / 0.01:
        warnings.append(f"run {run.id}: {run.finished:,} recalls are too few for a p99")
    return warnings


def _share(part: int, whole: int) -> str:
    return f"{part / whole * 100:.3g} %" if whole else "–"


def _total(run: LoadSummary) -> Block:
    whole = Block()
    for block in run.blocks:
        whole = whole.merge(block)
    return whole


def _quantile(latency: LatencyHistogram, q: float) -> float:
    enough = latency.count * (1 - q) >= LEAST_BEYOND - 1e-9
    return latency.quantile(q) if enough else math.nan


def _seconds(run: LoadSummary) -> list[float]:
    """Return how long each block really is: the last one ends with the run."""
    last = run.elapsed_s - run.block_s * (len(run.blocks) - 1)
    return [*[run.block_s] * (len(run.blocks) - 1), max(last, run.block_s * 0.1)][: len(run.blocks)]


def _stretches(run: LoadSummary) -> list[tuple[float, Block]]:
    """Return neighbouring blocks joined until each holds enough recalls, with its middle in seconds."""
    stretches: list[tuple[float, Block]] = []
    first, joined = 0, Block()
    for n, block in enumerate(run.blocks, 1):
        joined = joined.merge(block)
        if joined.counts["finished"] >= _RECALLS or (n == len(run.blocks) and not stretches):
            stretches.append(((first + n) / 2 * run.block_s, joined))
            first, joined = n, Block()
    return stretches


# Charts


def _percentiles_over_time(run: LoadSummary) -> list[Series]:
    stretches = _stretches(run)
    every = [
        Series(name, name, [(at, _quantile(block.latency, q)) for at, block in stretches])
        for name, q in _PERCENTILES.items()
    ]
    return [line for line in every if any(math.isfinite(ms) for _, ms in line.points)]


def _p95_chart(runs: Mapping[str, LoadSummary]) -> str:
    series = [
        Series(run.id, look, [(at, _quantile(block.latency, 0.95)) for at, block in _stretches(run)])
        for look, run in runs.items()
    ]
    description = "; ".join(
        f"run {run.id}: p95 of {number(run.p95_ms)} ms on the whole" for run in runs.values()
    )
    return lines(series, _time_axis(*runs.values()), Axis("ms"), description)


def _time_axis(*runs: LoadSummary) -> Axis:
    return Axis("seconds into the run", span=(0.0, max(1e-3, *(run.elapsed_s for run in runs))))


def _percentile_chart(runs: Mapping[str, LoadSummary]) -> str:
    """Draw latency over 1/(1−p), so that the tail has as much room as the middle."""
    series = []
    for look, run in runs.items():
        latency = _total(run).latency
        series.append(Series(run.id, look, [(1 / (1 - q), _quantile(latency, q)) for q in _SHARES]))
    ticks = [(1 / (1 - q), f"{q * 100:g}") for q in (0.5, 0.9, 0.99, 0.999, 0.9999)]
    description = "; ".join(
        f"run {run.id}: p50 {number(run.p50_ms)} ms, p95 {number(run.p95_ms)} ms, p99 {number(run.p99_ms)} ms"
        for run in runs.values()
    )
    return lines(series, Axis("percentile", log=True, ticks=ticks), Axis("ms", log=True), description, HALF)


def _rate_chart(runs: Mapping[str, LoadSummary]) -> str:
    series = []
    for look, run in runs.items():
        answered = [b.counts["finished"] - b.counts["errors"] for b in run.blocks]
        rates = [n / s for n, s in zip(answered, _seconds(run), strict=True)]
        middles = [(n + 0.5) * run.block_s for n in range(len(rates))]
        series.append(Series(run.id, look, list(zip(middles, rates, strict=True))))
    description = "; ".join(f"run {run.id}: {number(run.achieved_per_s)} a second" for run in runs.values())
    return lines(series, _time_axis(*runs.values()), Axis("answers a second"), description, HALF)


def _bars(comparison: Comparison) -> list[Interval]:
    return [
        Interval(d.measure, d.verdict.value, d.change, d.low, d.high)
        for d in comparison.differences
        if math.isfinite(d.low) and math.isfinite(d.high)
    ]


# Words and tables


def _describe_blocks(run: LoadSummary) -> str:
    by_time = [(_quantile(block.latency, 0.5), at) for at, block in _stretches(run)]
    known = [(ms, at) for ms, at in by_time if math.isfinite(ms)]
    if not known:
        return "Too little was measured."
    ms, at = max(known)
    return (
        f"p50 of {number(run.p50_ms)} ms and p99 of {number(run.p99_ms)} ms on the whole; "
        f"slowest about second {number(at)}, with a p50 of {number(ms)} ms"
    )


def _describe_changes(comparison: Comparison) -> str:
    return "; ".join(f"{d.measure}: {_change(d)}, {d.verdict.value}" for d in comparison.differences)


def _verdict(comparison: Comparison) -> str:
    by_verdict = {
        verdict: [d.measure for d in comparison.differences if d.verdict is verdict]
        for verdict in (Verdict.BETTER, Verdict.WORSE, Verdict.ALIKE)
    }
    parts = [f"{', '.join(names)} {verdict.value}" for verdict, names in by_verdict.items() if names]
    return "; ".join(parts) or "Inconclusive: no difference that luck could not have made."


def _change(d: Difference) -> str:
    unit = "points" if d.unit == "share" else "%"
    if not math.isfinite(d.change):
        return "–"
    if not math.isfinite(d.low):
        return f"{d.change * 100:+.1f} {unit}"
    return f"{d.change * 100:+.1f} {unit} ({d.low * 100:+.1f} to {d.high * 100:+.1f})"


def _value(d: Difference, value: float) -> str:
    if d.unit == "share":
        return f"{value * 100:.3g} %" if math.isfinite(value) else "–"
    return f"{number(value)} {d.unit}"


def _difference_table(comparison: Comparison) -> str:
    rows = [
        [d.measure, _value(d, d.before), _value(d, d.after), _change(d), f"{d.verdict.value} {d.why}".strip()]
        for d in comparison.differences
    ]
    looks = [d.verdict.value for d in comparison.differences]
    return page.table(["measure", "before", "after", "change (95%)", "verdict"], rows, numbers=3, looks=looks)


def _block_table(run: LoadSummary) -> str:
    rows = [
        [
            f"{number(n * run.block_s)} s",
            f"{block.counts['finished']:,}",
            *(number(_quantile(block.latency, q)) for q in _PERCENTILES.values()),
            f"{block.counts['errors']:,}",
        ]
        for n, block in enumerate(run.blocks)
    ]
    return page.table(
        ["from", "recalls", *(f"{name} ms" for name in _PERCENTILES), "errors"], rows, numbers=5
    )


def _type_table(run: LoadSummary) -> str:
    whole = _total(run)
    rows = [
        [name, f"{n:,}", _share(n, run.finished), number(math.exp(logs / n))]
        for name, (n, logs) in sorted(whole.by_type.items())
        if n
    ]
    return page.table(["type", "recalls", "share", "typical ms"], rows, numbers=3)


def _spec_table(*runs: LoadSummary) -> str:
    specs = [run.spec.to_dict() for run in runs]
    rows, looks = [], []
    for name, words in _NAMES.items():
        values = [_plain(spec[name]) if _counts(name, spec) else "–" for spec in specs]
        if set(values) != {"–"}:
            rows.append([words, *values])
            looks.append("changed" if len(set(values)) > 1 else "")
    return page.table(["setting", *(run.id for run in runs)], rows, looks=looks)


def _counts(name: str, spec: Mapping[str, object]) -> bool:
    """Whether a setting has any part in a load of this kind."""
    only_for = next((pattern for pattern, names in _ONLY_FOR.items() if name in names), None)
    if name == "think_s":
        return spec["clients"] is not None
    return only_for is None or spec["pattern"] == only_for


def _counted_table(what: str, counted: Mapping[str, int] | Mapping[int, int]) -> str:
    if not counted:
        return '<p class="soft">None.</p>'
    return page.table([what, "recalls"], [[str(name), f"{n:,}"] for name, n in counted.items()], numbers=1)


def _plain(value: object) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {number(weight)}" for name, weight in value.items())
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return str(value)


def _footer() -> str:
    return (
        '<p class="soft">Latency counts from the moment a recall was due. Percentiles with fewer than '
        f"{LEAST_BEYOND} recalls beyond them are left out.</p>"
    )
