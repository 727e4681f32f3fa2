"""What a person edits on the Config page: strategies as cards, values in a form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import streamlit as st

from athena_tuning.load.whatif_run import WhatIfRun
from athena_tuning.model import LAYERS, ConfigSet, ConfigVersion, TuningConfig, TuningStrategy
from athena_tuning.service import text, units
from athena_tuning.ui.config import apply_dialog, predictions
from athena_tuning.ui.config.apply_dialog import Change
from athena_tuning.ui.frame import components, notices
from athena_tuning.ui.frame.chips import Chip, chips
from athena_tuning.ui.frame.page_context import PageContext


class Told(NamedTuple):
    """What a strategy is for, and what it gives up."""

    icon: str
    wants: str
    costs: str


TIMEOUT_HELP = "Longest service time of a layer task; the wait for a slot does not count."
_REFUSED = "refused values"
_OF = "form of the refused values"

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


def strategy_card(
    page: PageContext,
    strategy: TuningStrategy,
    at: ConfigVersion,
    wanted: TuningConfig | None,
    run: WhatIfRun | None,
) -> None:
    """Draw what a strategy trades, what it would set today and what that would bring, and the switch to it.

    Args:
        page: where it stands.
        strategy: the strategy.
        at: in force for all types.
        wanted: what the strategy would set; None where too little was seen.
        run: simulates all strategies under their names; None likewise.
    """
    said, chosen = STRATEGIES[strategy], at.config.strategy is strategy
    st.markdown(f"#### :material/{said.icon}: {strategy.value.capitalize()}")
    st.text(said.wants)
    st.caption(f"Gives up: {said.costs}")
    if wanted is not None and run is not None:
        components.sheet(
            ["Today it would set", components.Cell("", "n")],
            [
                ("tasks in flight", wanted.max_concurrent),
                ("timeout", units.seconds(wanted.timeout_seconds)),
                ("parallel layers", units.setting(wanted.enable_parallel)),
                *predictions.in_short(run, strategy.value),
            ],
        )
    st.space("stretch")
    st.button(
        "In force" if chosen else f"Switch to {strategy.value}",
        key=f"switch-{strategy.value}",
        icon=":material/check:" if chosen else None,
        disabled=chosen or not page.can_write,
        width="stretch",
        on_click=apply_dialog.ask,
        args=(
            Change(
                f"Switch to {strategy.value}",
                at.version,
                wanted or replace(at.config, strategy=strategy),
                reason=f"strategy {strategy.value}",
                strategy=strategy,
            ),
        ),
    )


def form(page: PageContext, at: ConfigVersion, base: int, scope: str) -> None:
    """Draw the values of a config for editing; what is refused is told below its field."""
    config, locked = at.config, not page.can_write
    key = f"{scope}-{at.version}"
    refused: dict[str, str] = st.session_state.get(_REFUSED, {}) if key == st.session_state.get(_OF) else {}
    with st.form(f"edit-{key}", border=False):
        with st.grid(3, min_column_width=150, gap="small"):
            with st.container(gap="xsmall"):
                st.number_input(
                    "Tasks in flight",
                    value=config.max_concurrent,
                    step=1,
                    key=f"limit-{key}",
                    disabled=locked or scope != "all",
                    help="Layer tasks running at once, over all recalls of a manager: 1 to 1024. "
                    "It is shared, so only the config for all types decides it.",
                )
                _told(refused, "max_concurrent")
            with st.container(gap="xsmall"):
                _seconds("Timeout, s", config.timeout_seconds, f"timeout-{key}", locked, TIMEOUT_HELP)
                _told(refused, "timeout_seconds")
            with st.container(gap="xsmall"):
                _seconds(
                    "Deadline of a recall, s",
                    config.deadline_seconds or 0.0,
                    f"deadline-{key}",
                    locked,
                    "Then the answer is partial; 0 is none.",
                )
                _told(refused, "deadline_seconds")
        with st.container(horizontal=True):
            st.toggle("Parallel layers", config.enable_parallel, key=f"parallel-{key}", disabled=locked)
            st.toggle("Result cache", config.enable_cache, key=f"cache-{key}", disabled=locked)
            st.toggle(
                "Layer selection", config.layer_selection_enabled, key=f"selection-{key}", disabled=locked
            )
        layers = _layers(page, config)
        st.multiselect(
            "Layers that selection leaves out",
            layers,
            sorted(config.skipped_layers),
            key=f"skipped-{key}",
            disabled=locked,
            format_func=lambda name: text.plain(name, 40),
        )
        _told(refused, "skipped_layers")
        st.caption("Timeouts of single layers, s (0: as above)")
        with st.grid(len(layers), min_column_width=92, gap="small"):
            for i, layer in enumerate(layers):
                own = config.layer_timeouts.get(layer, 0.0)
                _seconds(text.markdown(layer, 24), own, f"layer-{i}-{key}", locked, None)
        _told(refused, "layer_timeouts")
        st.form_submit_button(
            "Look at the change…",
            disabled=locked,
            on_click=_look,
            args=(at, base, scope, key, tuple(layers)),
            icon=":material/difference:",
        )


def exceptions(page: PageContext, configs: ConfigSet) -> None:
    """Draw the query types that have a config of their own, and how to end an exception."""
    if not configs.by_type:
        st.text("None: every query type runs under the config for all. Choose a type above to make one.")
    for scope, version in sorted(configs.by_type.items()):
        differs = configs.default.config.changes_to(version.config)
        told = ", ".join(f"{field} {units.setting(there)}" for field, (_, there) in differs.items())
        with st.container(horizontal=True, vertical_alignment="center"):
            chips([Chip(f"v{version.version}", scope, "accent", version.reason)])
            st.text(text.plain(told or "the same values as all types", 160), width="stretch")
            st.button(
                "End",
                key=f"end-{scope}",
                icon=":material/close:",
                disabled=not page.can_write,
                on_click=apply_dialog.ask,
                args=(
                    Change(
                        f"End the exception for {text.markdown(scope, 30)}",
                        version.version,
                        configs.default.config,
                        scope,
                        f"{scope} as all types",
                        restores=0,
                    ),
                ),
            )
    st.caption(
        "The limit of layer tasks in flight is shared: only the config for all types decides it. "
        "In mode auto the tuner makes and changes exceptions too."
    )


def edited(config: TuningConfig, values: Mapping[str, object]) -> tuple[TuningConfig, dict[str, str]]:
    """Return a config with values put in place one by one, and why each refused one was.

    Example:
        >>> config, refused = edited(TuningConfig(), {"max_concurrent": 0, "timeout_seconds": 2.0})
        >>> config.timeout_seconds, refused
        (2.0, {'max_concurrent': 'must be 1 to 1024, not 0'})
    """
    refused = {}
    for name, value in values.items():
        try:
            config = TuningConfig.from_dict({**config.to_dict(), name: value})
        except ValueError as why:
            refused[name] = str(why).removeprefix(f"{name} ")
    return config, refused


def _look(at: ConfigVersion, base: int, scope: str, key: str, layers: Sequence[str]) -> None:
    def read() -> None:
        st.session_state.pop(_REFUSED, None)
        state = st.session_state
        timeouts = {layer: _number(state[f"layer-{i}-{key}"]) for i, layer in enumerate(layers)}
        values: dict[str, object] = {
            "max_concurrent": state[f"limit-{key}"],
            "timeout_seconds": state[f"timeout-{key}"],
            "deadline_seconds": _number(state[f"deadline-{key}"]) or None,
            "enable_parallel": state[f"parallel-{key}"],
            "enable_cache": state[f"cache-{key}"],
            "layer_selection_enabled": state[f"selection-{key}"],
            "skipped_layers": list(state[f"skipped-{key}"]),
            "layer_timeouts": {layer: seconds for layer, seconds in timeouts.items() if seconds},
        }
        wanted, refused = edited(at.config, values)
        if set(LAYERS) <= wanted.skipped_layers:
            refused["skipped_layers"] = "must leave at least one layer to ask"
        if refused:
            state[_REFUSED], state[_OF] = refused, key
            raise ValueError(f"not taken: {', '.join(sorted(refused))}; see below the fields")
        if wanted == at.config:
            raise ValueError("nothing was changed")
        apply_dialog.ask(Change("Apply what you edited", base, wanted, scope))

    notices.act(read)


def _seconds(label: str, value: float, key: str, locked: bool, told: str | None) -> None:
    st.number_input(label, value=float(value), step=0.5, format="%g", key=key, disabled=locked, help=told)


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _told(refused: Mapping[str, str], field: str) -> None:
    if field in refused:
        st.markdown(f":red[:material/error: {text.markdown(refused[field], 160)}]")


def _layers(page: PageContext, config: TuningConfig) -> list[str]:
    known = [*LAYERS, *page.service.window.layers(), *config.skipped_layers, *config.layer_timeouts]
    return list(dict.fromkeys(known))[:12]
