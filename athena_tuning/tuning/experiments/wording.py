"""An experiment's outcome as sentences: for the history, the log and everybody's screen."""

from __future__ import annotations

import math

from athena_tuning.model import ExperimentMeasure, ExperimentReport, ExperimentVerdict

_SAID = {
    ExperimentVerdict.BETTER: "Better than what is in force",
    ExperimentVerdict.WORSE: "Worse than what is in force",
    ExperimentVerdict.MIXED: "Better in one thing and worse in another than what is in force",
    ExperimentVerdict.OPEN: "No difference to what is in force was shown",
}


def outcome_in_words(report: ExperimentReport) -> str:
    """Return what an experiment showed, with the figures that it rests on."""
    of, planned = report.pairs, report.planned
    observed = "; ".join(measure_in_words(measure) for measure in report.measures if measure.pairs)
    rests = (
        f"Observed in {of} of {planned} pairs of blocks: {observed}." if observed else "Nothing was observed."
    )
    ended = f" Ended: {report.ended}." if report.ended else ""
    return f"{_SAID[report.verdict]}. {rests}{ended}"


def measure_in_words(measure: ExperimentMeasure) -> str:
    """Return one measure under both configs, and its change with the interval.

    Examples:
        >>> observed = ExperimentMeasure("p99", "ms", 120.0, 96.0, -0.223, -0.51, 0.09, 15)
        >>> measure_in_words(observed)
        'p99 120 → 96 ms, −20 % (−40 to +9)'
        >>> measure_in_words(ExperimentMeasure("refused", "share", 0.02, 0.0, -0.02, -0.03, -0.01, 15))
        'refused 2 → 0 %, −2 points (−3 to −1)'
    """
    was, now = (figure_in_words(value, measure.unit) for value in (measure.in_force, measure.tried))
    unit = "ms" if measure.unit == "ms" else "%"
    if measure.in_force == measure.tried and measure.change == 0:
        return f"{measure.name} {now} {unit} under both"
    return f"{measure.name} {was} → {now} {unit}, {change_in_words(measure)}"


def change_in_words(measure: ExperimentMeasure) -> str:
    """Return a change with its interval; of shares in points of a percent."""
    ms = measure.unit == "ms"
    of = (lambda value: math.expm1(min(value, 5.0))) if ms else (lambda value: value)
    mean, low, high = (_signed(of(value)) for value in (measure.change, measure.low, measure.high))
    if not math.isfinite(measure.low):
        return f"{mean} {'%' if ms else 'points'} so far, too few blocks to say"
    return f"{mean} {'%' if ms else 'points'} ({low} to {high})"


def figure_in_words(value: float, unit: str) -> str:
    """Return a figure without its unit: ms, or a share in percent."""
    if not math.isfinite(value):
        return "–"
    return (
        f"{value:,.3g}" if unit == "ms" and value < 1000 else f"{value * (1 if unit == 'ms' else 100):,.3g}"
    )


def _signed(share: float) -> str:
    percent = share * 100
    if not math.isfinite(percent):
        return "–"
    shown = f"{abs(percent):.0f}" if abs(percent) >= 1 or abs(percent) < 0.05 else f"{abs(percent):.1f}"
    return shown if shown == "0" else f"{'−' if percent < 0 else '+'}{shown}"
