"""What a person edits on the Config page: strategies as cards, values in a form."""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st

from athena_tuning.model import LAYERS, ConfigVersion, TuningConfig, TuningStrategy
from athena_tuning.ui import applying, notices, parts, text, units
from athena_tuning.ui.applying import Change
from athena_tuning.ui.shell import Here


class Told(NamedTuple):
    """What a strategy is for, and what it gives up."""

    icon: str
    wants: str
    costs: str


STRATEGIES = {
    TuningStrategy.LATENCY: Told(
        "speed",
        "Answers soon: few tasks at once, short timeouts.",
        "Throughput, and answers that lack a slow layer.",
    ),
    TuningStrategy.THROUGHPUT: Told(
        "stacked_line_chart",
        "Many recalls a second: many tasks at once, long timeouts.",
        "The tail of single recalls.",
    ),
    TuningStrategy.COST: Told(
        "savings", "Little work for an answer: a moderate limit, no wasted tasks.", "Some speed under load."
    ),
    TuningStrategy.BALANCED: Told(
        "balance", "Mostly latency, with an eye on the rest.", "The last bit of each."
    ),
}


def strategy_card(here: Here, strategy: TuningStrategy, at: ConfigVersion, *, enough: bool) -> None:
    """Draw what a strategy trades, what it would set today, and the switch to it."""
    told, chosen = STRATEGIES[strategy], at.config.strategy is strategy
    st.markdown(f"#### :material/{told.icon}: {strategy.value.capitalize()}")
    st.text(told.wants)
    st.caption(f"Gives up: {told.costs}")
    wanted = at.config
    if enough:
        wanted = here.service.preview(strategy).after
        parts.sheet(
            ["Today it would set", parts.Cell("", "n")],
            [
                ("tasks in flight", wanted.max_concurrent),
                ("timeout", units.seconds(wanted.timeout_seconds)),
                ("parallel layers", units.setting(wanted.enable_parallel)),
            ],
        )
    st.space("stretch")
    st.button(
        "In force" if chosen else f"Switch to {strategy.value}",
        key=f"switch-{strategy.value}",
        icon=":material/check:" if chosen else None,
        disabled=chosen or not here.can_write,
        width="stretch",
        on_click=applying.ask,
        args=(
            Change(
                f"Switch to {strategy.value}",
                at.version,
                wanted,
                reason=f"strategy {strategy.value}",
                strategy=strategy,
            ),
        ),
    )


def form(here: Here, at: ConfigVersion, base: int, scope: str) -> None:
    """Draw the values of a config for editing."""
    config, locked = at.config, not here.can_write
    key = f"{scope}-{at.version}"
    with st.form(f"edit-{key}", border=False):
        with st.grid(3, min_column_width=150, gap="small"):
            st.number_input(
                "Tasks in flight",
                1,
                1024,
                config.max_concurrent,
                key=f"limit-{key}",
                disabled=locked or scope != "all",
                help="Layer tasks running at once, over all recalls of a manager.",
            )
            st.number_input(
                "Timeout, s",
                0.001,
                3600.0,
                float(config.timeout_seconds),
                format="%g",
                key=f"timeout-{key}",
                disabled=locked,
                help="Longest service time of a layer task.",
            )
            st.number_input(
                "Deadline of a recall, s",
                0.0,
                3600.0,
                config.deadline_seconds or 0.0,
                format="%g",
                key=f"deadline-{key}",
                disabled=locked,
                help="Then the answer is partial; 0 is none.",
            )
        with st.container(horizontal=True):
            st.toggle("Parallel layers", config.enable_parallel, key=f"parallel-{key}", disabled=locked)
            st.toggle("Result cache", config.enable_cache, key=f"cache-{key}", disabled=locked)
            st.toggle(
                "Layer selection", config.layer_selection_enabled, key=f"selection-{key}", disabled=locked
            )
        st.multiselect(
            "Layers that selection leaves out",
            list(dict.fromkeys([*LAYERS, *config.skipped_layers])),
            sorted(config.skipped_layers),
            key=f"skipped-{key}",
            disabled=locked,
            format_func=lambda name: text.plain(name, 40),
        )
        st.form_submit_button(
            "Look at the change…",
            disabled=locked,
            on_click=_look,
            args=(at, base, scope, key),
            icon=":material/difference:",
        )


def _look(at: ConfigVersion, base: int, scope: str, key: str) -> None:
    def read() -> None:
        values = at.config.to_dict()
        values |= {
            "max_concurrent": int(st.session_state[f"limit-{key}"]),
            "timeout_seconds": float(st.session_state[f"timeout-{key}"]),
            "deadline_seconds": float(st.session_state[f"deadline-{key}"]) or None,
            "enable_parallel": bool(st.session_state[f"parallel-{key}"]),
            "enable_cache": bool(st.session_state[f"cache-{key}"]),
            "layer_selection_enabled": bool(st.session_state[f"selection-{key}"]),
            "skipped_layers": list(st.session_state[f"skipped-{key}"]),
        }
        edited = TuningConfig.from_dict(values)
        if edited == at.config:
            raise ValueError("nothing was changed")
        applying.ask(Change("Apply what you edited", base, edited, scope))

    notices.act(read)
