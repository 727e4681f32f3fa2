"""The form of a load run, and its progress and charts while it runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

import streamlit as st

from athena_tuning.load.recordings import FROM_STORE
from athena_tuning.load.run_handle import UNDER_WAY, Run, State
from athena_tuning.load.spec import LoadSpec
from athena_tuning.model import QUERY_TYPES
from athena_tuning.service import text, units, window_reads
from athena_tuning.service.roles import Actor
from athena_tuning.service.view import View
from athena_tuning.ui.charts import live_charts
from athena_tuning.ui.charts.echarts_option import over_time
from athena_tuning.ui.frame import components, form_values, notices
from athena_tuning.ui.frame.page_context import PageContext
from athena_tuning.ui.simulate import run_results

PATTERNS = {
    "steady": "even, Poisson arrivals",
    "bursty": "clusters and lulls, as real agents make them",
    "ramp": "rises from a fifth of the rate to nearly twice",
    "spike": "five times the rate for a tenth of the time",
    "day": "a day's rhythm, pressed into the run",
    "replay": "the times and questions of a recording",
}
MIXES: dict[str, dict[str, float]] = {
    "all types alike": dict.fromkeys(QUERY_TYPES, 1.0),
    "facts and relations": {"factual": 6, "relational": 3, "temporal": 1},
    "debugging": {"temporal": 5, "procedural": 3, "factual": 2},
    "planning": {"planning": 5, "prospective": 3, "procedural": 2},
}
_GAUGES = "gauges"
_LOOK_BACK = 150.0


def form(page: PageContext) -> None:
    """Draw the form of a load run."""
    locked = not page.can_write
    pattern = st.pills(
        "Pattern", list(PATTERNS), default="steady", required=True, key="sim-pattern", disabled=locked
    )
    st.caption(PATTERNS[pattern or "steady"])
    with st.form("load", border=False):
        with st.grid(2, min_column_width=120, gap="small"):
            if pattern == "replay":
                names = {sample.name: sample.title for sample in page.service.samples()} | FROM_STORE
                st.selectbox(
                    "Workload", list(names), format_func=names.__getitem__, key="sim-replay", disabled=locked
                )
                st.number_input("Speed, times", value=10.0, format="%g", key="sim-speed", disabled=locked)
            else:
                st.number_input("Recalls /s", value=30.0, format="%g", key="sim-rate", disabled=locked)
                st.selectbox("Mix", list(MIXES), key="sim-mix", disabled=locked)
            st.number_input("Duration, s", value=60, step=1, key="sim-duration", disabled=locked)
            st.number_input(
                "Repetition",
                value=1.0,
                step=0.1,
                format="%g",
                key="sim-repetition",
                disabled=locked,
                help="Zipf exponent of the questions, 0 to 5: 0 asks hardly anything twice, 1 is usual, "
                "above 1.5 a cache answers most.",
            )
        st.toggle(
            "Begin with an empty cache",
            key="sim-cold",
            disabled=locked,
            help="Two runs compare only if both begin alike: cold, or with what the one before left. It "
            "empties the answers that the manager keeps, for everybody.",
        )
        st.form_submit_button(
            "Start",
            type="primary",
            icon=":material/play_arrow:",
            width="stretch",
            disabled=locked,
            on_click=_start,
            args=(page,),
        )


def spec_from(values: Mapping[str, object]) -> LoadSpec:
    """Return the load that the form's values describe.

    Raises:
        ValueError: if a value does not fit.

    Examples:
        >>> spec_from({"sim-pattern": "bursty", "sim-rate": 20.0, "sim-duration": 60, "sim-mix": "debugging",
        ...            "sim-repetition": 1.0}).rate_per_s
        20.0
    """
    pattern = str(values.get("sim-pattern") or "steady")
    duration = form_values.number(values, "sim-duration", "duration", 1, 3600)
    cold = bool(values.get("sim-cold"))
    if pattern == "replay":
        return LoadSpec(
            "replay",
            duration_s=duration,
            speed=form_values.number(values, "sim-speed", "speed", 0.1, 100),
            replay_of=str(values.get("sim-replay", "")),
            cold=cold,
        )
    return LoadSpec(
        pattern,
        rate_per_s=form_values.number(values, "sim-rate", "recalls a second", 0.1, 2000),
        duration_s=duration,
        mix=MIXES.get(str(values.get("sim-mix")), MIXES["all types alike"]),
        repetition=form_values.number(values, "sim-repetition", "repetition", 0, 5),
        cold=cold,
    )


def progress(page: PageContext, run: Run) -> None:
    """Draw how far a run is, and the button that stops it."""
    at = run.progress()
    what = f"{run.spec.pattern} at {units.rate(run.spec.rate_per_s)}"
    if run.spec.pattern == "replay":
        what = f"replay of {text.markdown(run.spec.replay_of, 40)} at {run.spec.speed:g}x"
    if run.spec.cold:
        what += ", begun with an empty cache"
    share = 1.0 if at.state is State.FINISHED else at.share or 0.0
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(share, text=f"{at.state.value.capitalize()}: {what}, {at.elapsed_s:.0f} s")
        if at.state in UNDER_WAY:
            service, paused = page.service, at.state is State.PAUSED
            _steer(
                page,
                "Go on" if paused else "Pause",
                "play_arrow" if paused else "pause",
                service.resume_load if paused else service.pause_load,
            )
            _steer(page, "Stop", "stop", service.stop_load, "The load has stopped")
    components.metrics(
        ("Asked", units.count(at.offered), None),
        ("Answered", units.rate(at.achieved_per_s), None),
        ("p50 since due", units.ms(at.p50_ms), None),
        ("p99 since due", units.ms(at.p99_ms), None),
        ("Under way", units.count(at.in_flight), None),
        ("Errors", units.count(at.errors), None),
        width=112,
    )


def _steer(page: PageContext, name: str, icon: str, write: Callable[[Actor], object], done: str = "") -> None:
    st.button(
        name,
        icon=f":material/{icon}:",
        type="primary" if name == "Stop" else "secondary",
        key=f"sim-{name.lower().replace(' ', '-')}",
        disabled=not page.can_write,
        on_click=lambda: notices.act(lambda: write(page.actor), done),
    )


def charts(page: PageContext, view: View) -> None:
    """Draw the last minutes of the manager, second by second."""
    service = page.service
    recent = view.only(start=view.end - _LOOK_BACK)
    bucket = 2.0
    series = service.ask(window_reads.over_time, recent, bucket)
    period = (recent.start, recent.end)
    left, right = st.columns(2, gap="small")
    with left, components.card("sim-latency", "Latency, last 150 s"):
        panel = live_charts.latency_over_time(
            series,
            timezone=view.timezone,
            slo_ms=page.slo_ms,
            marks=window_reads.marks(service.history(20), (), recent),
            period=period,
        )
        components.live_chart(over_time(panel), "sim-chart-latency", height=240)
    with right, components.card("sim-throughput", "Recalls per second, last 150 s"):
        panel = live_charts.throughput_over_time(
            series, bucket_seconds=bucket, timezone=view.timezone, period=period
        )
        components.live_chart(over_time(panel), "sim-chart-throughput", height=240)
    if service.embedded:
        with components.card("sim-gauges", "Layer tasks now: running and waiting under the limit"):
            panel = live_charts.lines_over_time(
                _gauges(page), timezone=view.timezone, unit="tasks", steps=True, period=period
            )
            components.live_chart(over_time(panel), "sim-chart-gauges", height=190)


def outcome(run: Run) -> None:
    """Draw what came out of a run that has ended."""
    summary = run.summary()
    if summary is None:
        st.text(text.plain(f"The load failed: {run.failure}", 400))
    else:
        run_results.figures(summary)


def _gauges(page: PageContext) -> dict[str, list[tuple[float, float]]]:
    """Note the manager's gauges and return those of the last minutes, as this session has seen them."""
    assert page.service.embedded is not None  # noqa: S101 (checked by the caller)
    manager = page.service.embedded.manager
    samples: deque[tuple[float, int, int, int]] = st.session_state.setdefault(_GAUGES, deque(maxlen=150))
    limit = manager.config.max_concurrent
    samples.append((page.service.now, manager.in_flight, manager.waiting, limit))
    names = ("running", "waiting", "limit")
    return {name: [(row[0], float(row[i])) for row in samples] for i, name in enumerate(names, start=1)}


def _start(page: PageContext) -> None:
    notices.act(
        lambda: page.service.start_load(
            page.actor, spec_from({str(key): value for key, value in st.session_state.items()})
        ),
        "The load has started",
    )
