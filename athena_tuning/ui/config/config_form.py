"""What a person edits on the Config page: strategies as cards, values in a form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import streamlit as st

from athena_tuning.model import (
    LAYERS,
    ConfigSet,
    ConfigVersion,
    LimitScope,
    Proposal,
    TuningConfig,
    TuningStrategy,
)
from athena_tuning.model.metrics import SECOND_CALL
from athena_tuning.service import parameter_rows, text, units
from athena_tuning.ui.config import advice, apply_dialog
from athena_tuning.ui.config.apply_dialog import PendingChange
from athena_tuning.ui.frame import components, notices
from athena_tuning.ui.frame.chips import Chip, chips
from athena_tuning.ui.frame.page_context import PageContext

LIMIT_HELP = (
    "Layer tasks running at once, over all recalls of a manager, or of all managers: 1 to 1024. It is "
    "shared, so only the config for all types decides it."
)
SCOPE_HELP = (
    "On: all managers on this store have these tasks in flight together, and each a share by its demand, for "
    "one backend behind all of them. Off: each manager has so many of its own."
)
TIMEOUT_HELP = "Longest service time of a layer task; the wait for a slot does not count."
DEADLINE_HELP = "Then the answer is partial; 0 is none."
OVERLOAD_HELP = (
    "Refuse recalls once the queue for slots has not been empty for so long and more come than can be "
    "served; 0 is never. Like the limit, only the config for all types decides it."
)
OVERLOAD_WAIT_HELP = "Longest wait for a slot while recalls are refused."

HEDGING_HELP = "A call that takes longer than this share of its layer's calls is made a second time."
AGREEMENT_HELP = (
    "Of the first ten pieces of evidence, how many two layers must have found for the second round not to be "
    "asked: 1 to 10."
)
THIN_HELP = (
    "With fewer pieces of evidence, if that is rare for the type, layers that were left out are asked as "
    "well: 1 to 10; 1 is only where nothing was found."
)
EXPLORATION_HELP = "Recalls that ask every layer, to see what each would add: 0 to 0.5."
MEMORY_HELP = (
    "Recalls whose layers' memory is measured, 0 to 0.5: they are slower, with one layer after another."
)

_NUMBERS = (
    ("Tasks in flight", "limit", "max_concurrent", 1, LIMIT_HELP),
    ("Timeout, s", "timeout", "timeout_seconds", 0.5, TIMEOUT_HELP),
    ("Deadline of a recall, s", "deadline", "deadline_seconds", 0.5, DEADLINE_HELP),
    ("Overload after, s", "overload", "overload_after_seconds", 0.1, OVERLOAD_HELP),
    ("Wait in an overload, s", "patience", "overload_wait_seconds", 0.05, OVERLOAD_WAIT_HELP),
    ("Slow from quantile", "quantile", "hedging_quantile", 0.01, HEDGING_HELP),
    ("Agreement that is enough", "agreement", "second_round_below", 1, AGREEMENT_HELP),
    ("Thin below, pieces", "thin", "thin_below", 1, THIN_HELP),
    ("Share that explores", "exploration", "exploration_share", 0.01, EXPLORATION_HELP),
    ("Share measured for memory", "memory", "memory_share", 0.001, MEMORY_HELP),
)
_NONE_AT_ZERO = ("deadline_seconds", "overload_after_seconds")

BOUNDS_HELP = "What the tuner may choose from, 1 to 256 at once. You may set what is outside."
BOUNDS = (
    ("Tuning: fewest in flight", "fewest", "concurrency_bounds", 0, BOUNDS_HELP),
    ("most", "most", "concurrency_bounds", 1, BOUNDS_HELP),
    ("Tuning: shortest timeout, s", "shortest", "timeout_bounds", 0, BOUNDS_HELP),
    ("longest, s", "longest", "timeout_bounds", 1, BOUNDS_HELP),
)

_SHARED = ("limit", "overload", "patience", "quantile")

_LAYER_SETS = {
    "skipped_layers": "Layers that selection leaves out",
    "extra_layers": "Layers asked beside those that selection chooses",
    "second_round": "Layers of the second round, asked where the others agree on little",
    "hedged_layers": "Layers called a second time where the first call is slow, if they are idempotent",
}


class StrategyText(NamedTuple):
    """What a strategy is for, and what it gives up."""

    icon: str
    aim: str
    price: str


_REFUSED = "refused values"
_REFUSED_FORM = "form of the refused values"

STRATEGIES = {
    TuningStrategy.LATENCY: StrategyText(
        "speed",
        "Answers soon, before all else.",
        "Throughput, and answers that lack a slow layer.",
    ),
    TuningStrategy.THROUGHPUT: StrategyText(
        "stacked_line_chart",
        "Many recalls a second, before all else.",
        "The tail of single recalls.",
    ),
    TuningStrategy.COST: StrategyText(
        "savings", "Little work for an answer, before all else.", "Some speed under load."
    ),
    TuningStrategy.BALANCED: StrategyText(
        "balance", "Mostly latency, with an eye on the rest.", "The last bit of each."
    ),
}


def strategy_card(
    page: PageContext,
    strategy: TuningStrategy,
    at: ConfigVersion,
    proposal: Proposal | None,
) -> None:
    """Draw what a strategy trades, what it would set today and what that would bring, and the switch to it.

    Args:
        page: where it stands.
        strategy: the strategy.
        at: in force for all types.
        proposal: says what the strategy would set; None where no tuner has told.
    """
    proposed = proposal.by_strategy[strategy] if proposal else None
    wanted = proposal.under(strategy, at.config) if proposal else None
    words, chosen = STRATEGIES[strategy], at.config.strategy is strategy
    st.markdown(f"### :material/{words.icon}: {strategy.value.capitalize()}")
    st.text(words.aim)
    st.caption(f"Gives up: {words.price}")
    if proposal is not None and proposed is not None and wanted is not None:
        components.static_table(
            ["Today it would set", components.Cell("", "n")],
            [
                ("tasks in flight", wanted.max_concurrent),
                ("timeout", units.seconds(wanted.timeout_seconds)),
                ("parallel layers", units.setting(wanted.enable_parallel)),
                *advice.in_short(proposal, proposed),
            ],
        )
        if proposed.doubt:
            st.caption(f"No advice: {text.markdown(proposed.doubt, 200)}")
    st.space("stretch")
    apply_dialog.button(
        page,
        "In force" if chosen else f"Switch to {strategy.value}",
        PendingChange(
            f"Switch to {strategy.value}",
            at.version,
            wanted or replace(at.config, strategy=strategy),
            reason=f"strategy {strategy.value}",
            strategy=strategy,
        ),
        key=f"switch-{strategy.value}",
        icon=":material/check:" if chosen else None,
        disabled=chosen,
        width="stretch",
    )


def form(page: PageContext, at: ConfigVersion, base: int, scope: str) -> None:
    """Draw the values of a config for editing; why one is refused shows below its field."""
    config, locked = at.config, not page.can_write
    key, state = f"{scope}-{at.version}", st.session_state
    refused: dict[str, str] = state.get(_REFUSED, {}) if key == state.get(_REFUSED_FORM) else {}
    layers = _layers(page, config)
    with st.form(f"edit-{key}", border=False):
        with st.grid(3, min_column_width=150, gap="small"):
            for label, name, field, step, about in _NUMBERS:
                own = getattr(config, field) or 0
                with st.container(gap="xsmall"):
                    st.number_input(
                        label,
                        value=own if step == 1 else float(own),
                        step=step,
                        format="%d" if step == 1 else "%g",
                        key=f"{name}-{key}",
                        disabled=locked or (name in _SHARED and scope != "all"),
                        help=about,
                    )
                    _refusal(refused, field)
        with st.container(horizontal=True):
            st.toggle("Parallel layers", config.enable_parallel, key=f"parallel-{key}", disabled=locked)
            st.toggle("Result cache", config.enable_cache, key=f"cache-{key}", disabled=locked)
            st.toggle(
                "Layer selection", config.layer_selection_enabled, key=f"selection-{key}", disabled=locked
            )
            st.toggle(
                "One limit for all managers",
                config.limit_scope is LimitScope.FLEET,
                key=f"fleet-{key}",
                disabled=locked or scope != "all",
                help=SCOPE_HELP,
            )
        with st.grid(4, min_column_width=120, gap="small"):
            for label, name, field, place, about in BOUNDS:
                whole = field == "concurrency_bounds"
                with st.container(gap="xsmall"):
                    st.number_input(
                        label,
                        value=getattr(config, field)[place],
                        step=1 if whole else 0.5,
                        format="%d" if whole else "%g",
                        key=f"{name}-{key}",
                        disabled=locked or scope != "all",
                        help=about,
                    )
                    if place == 0:
                        _refusal(refused, field)
        for field, label in _LAYER_SETS.items():
            st.multiselect(
                label,
                layers,
                sorted(getattr(config, field)),
                key=f"{field}-{key}",
                disabled=locked,
                format_func=lambda name: text.plain(name, 40),
            )
            _refusal(refused, field)
        st.caption("Timeouts of single layers, s (0: as above)")
        with st.grid(len(layers), min_column_width=92, gap="small"):
            for i, layer in enumerate(layers):
                st.number_input(
                    text.markdown(layer, 24),
                    value=float(config.layer_timeouts.get(layer, 0.0)),
                    step=0.5,
                    format="%g",
                    key=f"layer-{i}-{key}",
                    disabled=locked,
                )
        _refusal(refused, "layer_timeouts")
        st.form_submit_button(
            "Look at the change…",
            disabled=locked,
            on_click=_review,
            args=(at, base, scope, key, tuple(layers)),
            icon=":material/difference:",
        )


def exceptions(page: PageContext, configs: ConfigSet) -> None:
    """Draw the query types that have a config of their own, and how to end an exception."""
    if not configs.by_type:
        st.text("None: every query type runs under the config for all. Choose a type above to make one.")
    for scope, version in sorted(configs.by_type.items()):
        changes = parameter_rows.changes(configs.default.config, version.config)
        words = ", ".join(f"{row.label} {row.after}" for row in changes)
        with st.container(horizontal=True, vertical_alignment="center"):
            chips([Chip(f"v{version.version}", scope, "accent", version.reason)])
            st.text(text.plain(words or "the same values as all types", 160), width="stretch")
            title, reason = f"End the exception for {text.markdown(scope, 30)}", f"{scope} as all types"
            change = PendingChange(title, version.version, configs.default.config, scope, reason, restores=0)
            apply_dialog.button(page, "End", change, key=f"end-{scope}", icon=":material/close:")
    st.caption(
        "The limit of layer tasks in flight is shared: only the config for all types decides it. "
        "In mode auto the tuner makes and changes exceptions too."
    )


def edited(config: TuningConfig, values: Mapping[str, object]) -> tuple[TuningConfig, dict[str, str]]:
    """Return a config with values put in place one by one, and why each refused one was.

    Examples:
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


def _review(at: ConfigVersion, base: int, scope: str, key: str, layers: Sequence[str]) -> None:
    """Read the form and open the dialog for what was edited; refused values show below their fields."""

    def read() -> None:
        st.session_state.pop(_REFUSED, None)
        state = st.session_state
        timeouts = {layer: _number(state[f"layer-{i}-{key}"]) for i, layer in enumerate(layers)}
        values: dict[str, object] = {
            **{
                field: (state[f"{name}-{key}"] or None) if field in _NONE_AT_ZERO else state[f"{name}-{key}"]
                for _, name, field, _, _ in _NUMBERS
            },
            "concurrency_bounds": (state[f"fewest-{key}"], state[f"most-{key}"]),
            "limit_scope": LimitScope.FLEET if state[f"fleet-{key}"] else LimitScope.MANAGER,
            "timeout_bounds": (float(state[f"shortest-{key}"]), float(state[f"longest-{key}"])),
            "enable_parallel": state[f"parallel-{key}"],
            "enable_cache": state[f"cache-{key}"],
            "layer_selection_enabled": state[f"selection-{key}"],
            **{field: list(state[f"{field}-{key}"]) for field in _LAYER_SETS},
            "layer_timeouts": {layer: seconds for layer, seconds in timeouts.items() if seconds},
        }
        wanted, refused = edited(at.config, values)
        if set(LAYERS) <= wanted.skipped_layers:
            refused["skipped_layers"] = "must leave at least one layer to ask"
        if refused:
            state[_REFUSED], state[_REFUSED_FORM] = refused, key
            names = ", ".join(parameter_rows.label(name) for name in sorted(refused))
            raise ValueError(f"not taken: {names}; see below the fields")
        if wanted == at.config:
            raise ValueError("nothing was changed")
        apply_dialog.show(PendingChange("Apply what you edited", base, wanted, scope))

    notices.act(read)


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _refusal(refused: Mapping[str, str], field: str) -> None:
    if field in refused:
        st.markdown(f":red[:material/error: {text.markdown(refused[field], 160)}]")


def _layers(page: PageContext, config: TuningConfig) -> list[str]:
    chosen = [layer for field in _LAYER_SETS for layer in sorted(getattr(config, field))]
    measured = [name for name in page.service.window.layers() if not name.endswith(SECOND_CALL)]
    known = [*LAYERS, *measured, *chosen, *config.layer_timeouts]
    return list(dict.fromkeys(known))[:12]
