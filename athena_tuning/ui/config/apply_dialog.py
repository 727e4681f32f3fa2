"""How a person puts a config in force: a dialog with the difference, a reason and the version it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from athena_tuning.load.run_handle import State
from athena_tuning.model import ConfigSet, ConfigVersion, Mode, TuningConfig, TuningStrategy
from athena_tuning.service import parameter_rows, text
from athena_tuning.store import ConfigConflict
from athena_tuning.tuning.simulation.what_if import WhatIf
from athena_tuning.ui.config import predictions
from athena_tuning.ui.frame import components, notices
from athena_tuning.ui.frame.page_context import PageContext

TRY = "Try it for 5 minutes"
_PENDING = "pending change"
_REASON = "reason"
_WRITTEN = "change being written"
_CASE = "then"


@dataclass(frozen=True, slots=True)
class PendingChange:
    """What a person is about to put in force.

    Attributes:
        title: what it is called in the dialog.
        base: the version that the person saw; the change is refused if another one is in force.
        config: the values.
        scope: "all" or a query type.
        reason: what the reason field starts with.
        strategy: write this strategy, exceptions by type included, in place of ``config`` alone.
        mode: who steers from then on; None leaves it.
        restores: the version that it brings back.
        caution: what to think of before it is applied, in sentences; "" if there is nothing.
        is_doubted: whether the caution speaks against it.
        is_to_be_tried: whether trying it is what the person came for.
    """

    title: str
    base: int
    config: TuningConfig
    scope: str = "all"
    reason: str = ""
    strategy: TuningStrategy | None = None
    mode: Mode | None = None
    restores: int | None = None
    caution: str = ""
    is_doubted: bool = False
    is_to_be_tried: bool = False

    @property
    def can_be_tried(self) -> bool:
        """Whether it is about values that can be in force in turns with others."""
        return self.restores != 0 and self.mode is None


def button(
    page: PageContext, label: str, change: PendingChange | None, *, disabled: bool = False, **look: Any
) -> None:
    """Draw a button that opens the dialog for a change; disabled for who may not write."""
    off = disabled or change is None or not page.can_write
    st.button(label, on_click=show, args=(change,), disabled=off, **look)


def show(change: PendingChange) -> None:
    """Open the dialog for a change; meant for callbacks."""
    st.session_state[_PENDING] = change
    st.session_state[_REASON] = change.reason


def undo(page: PageContext, scope: str, version: int, reason: str) -> None:
    """Take back the newest change of a scope; meant for callbacks.

    Args:
        page: where the button stands.
        scope: "all" or a query type.
        version: in force for it, as the person saw it.
        reason: what is taken back, in the service's words.
    """
    st.session_state.pop(_WRITTEN, None)
    notices.act(
        lambda: page.service.undo(page.actor, expected_version=version, scope=scope),
        f"Done: {text.plain(reason)}",
    )


def dialog(page: PageContext) -> None:
    """Draw the dialog for a change that waits for its answer, or for one that somebody else overtook."""
    conflict: ConfigConflict | None = st.session_state.get(notices.CONFLICT)
    change: PendingChange | None = st.session_state.get(_PENDING)
    if conflict is not None:
        st.dialog("Not applied", width="large", on_dismiss=_drop_conflict)(_conflict)(page, conflict)
    elif change is not None:
        st.dialog(change.title, width="medium", on_dismiss=_close)(_change)(page, change)


def _conflict(page: PageContext, conflict: ConfigConflict) -> None:
    """Draw both sides of a conflict, and the ways on."""
    if notices.CONFLICT not in st.session_state:
        st.rerun()
    current, seen = conflict.current, _config_seen(page, conflict)
    merged = rebased(seen, _config_in_force(page, conflict), conflict.proposed)
    st.text(
        f"Somebody else wrote first. You looked at version {conflict.expected}. "
        + (
            f"Version {current.version} by {text.plain(current.author, 40)} is in force since: "
            f"{text.plain(current.reason, 160)}"
            if current
            else "Nothing is in force for this scope."
        )
    )
    components.static_table(
        ["Parameter", "You saw", "In force", "Yours", "Together"],
        [
            (
                parameter_rows.label(name),
                components.Cell(saw, "was"),
                components.Cell(theirs, "was"),
                mine,
                components.Cell(both, "now"),
            )
            for name, saw, theirs, mine, both in sides(seen, conflict, merged)
        ]
        or [("nothing", *(["the same"] * 4))],
    )
    st.caption("Together: what you changed, on top of what is in force; where both changed it, yours.")
    with st.container(horizontal=True, horizontal_alignment="right"):
        st.button("Drop mine", on_click=_drop_conflict)
        st.button(
            "Apply mine on top",
            type="primary",
            icon=":material/merge:",
            on_click=_rebase,
            args=(page, conflict, merged),
            disabled=not page.can_write,
        )


def sides(seen: TuningConfig, error: ConfigConflict, merged: TuningConfig) -> list[tuple[str, ...]]:
    """Return (field, seen, in force, wanted, merged) for every field that the sides do not agree on."""
    in_force = error.current.config if error.current else seen
    columns = [config.to_dict() for config in (seen, in_force, error.proposed, merged)]
    return [
        (name, *(parameter_rows.written(name, values[name]) for values in columns))
        for name in columns[0]
        if any(values[name] != columns[0][name] for values in columns)
    ]


def rebased(seen: TuningConfig, in_force: TuningConfig, wanted: TuningConfig) -> TuningConfig:
    """Return what is in force with what somebody changed who had seen another config.

    Examples:
        >>> seen, theirs = TuningConfig(max_concurrent=5), TuningConfig(max_concurrent=9)
        >>> mine = TuningConfig(max_concurrent=5, enable_cache=False)
        >>> both = rebased(seen, theirs, mine)
        >>> both.max_concurrent, both.enable_cache
        (9, False)
    """
    changed = {name: there for name, (_, there) in seen.changes_to(wanted).items()}
    return TuningConfig.from_dict({**in_force.to_dict(), **changed})


def _change(page: PageContext, change: PendingChange) -> None:
    """Draw what a change would do, the field for its reason, and Apply; a refusal shows here."""
    if _PENDING not in st.session_state:
        st.rerun()
    configs = page.service.configs()
    at = configs.in_scope(change.scope) or configs.default
    differences(at, change.config, mode=change.mode)
    whom = "all query types" if change.scope == "all" else f"recalls of type {text.plain(change.scope, 30)}"
    if change.caution:
        said = text.markdown(change.caution, 400)
        if change.is_doubted:
            st.warning(said, icon=":material/rule:")
        else:
            st.caption(f":material/rule: {said}")
    st.text(f"For {whom}, on top of version {change.base}. Once applied, the next recall uses it.")
    _beside_an_experiment(configs.on_trial)
    if change.config != at.config:
        with st.container(key="predicted"):
            st.markdown("**Predicted on the newest recalls**")
            _prediction(page, change)
    st.text_input("Reason", key=_REASON, max_chars=500, placeholder="Why? The history will say so.")
    notices.show()
    with st.container(horizontal=True, horizontal_alignment="right"):
        st.button("Cancel", on_click=_close)
        if change.can_be_tried:
            st.button(
                TRY,
                type="primary" if change.is_to_be_tried else "secondary",
                icon=":material/experiment:",
                disabled=not page.can_write or configs.on_trial is not None or change.config == at.config,
                help="In turns with what is in force, on live recalls; what is in force stays in force.",
                on_click=_try,
                args=(page, change),
            )
        st.button(
            "Apply",
            type="secondary" if change.is_to_be_tried else "primary",
            icon=":material/check:",
            disabled=not page.can_write,
            on_click=_apply,
            args=(page, change),
        )


def _prediction(page: PageContext, change: PendingChange) -> None:
    try:
        run = page.service.forecast({_CASE: change.config}, change.scope)
    except ValueError as busy:
        st.caption(f"No prediction: {busy}.")
        return
    # While it runs it is a fragment of its own: a dialog that is drawn anew loses what was typed.
    every = 0.6 if run.state is State.RUNNING else None
    st.fragment(lambda: predictions.effect(run, _CASE), run_every=every)()


def differences(at: ConfigVersion, wanted: TuningConfig, *, mode: Mode | None = None) -> None:
    """Draw what a config would change."""
    modes = [("mode", at.mode.value, mode.value)] if mode is not None and mode is not at.mode else []
    if modes or wanted != at.config:
        differences_of(at.config, wanted, f"In force (v{at.version})", "Then", modes)
    else:
        st.text("No value changes; the history gets a new version all the same.")


def differences_of(
    one: TuningConfig, other: TuningConfig, first: str, second: str, more: Sequence[tuple[str, str, str]] = ()
) -> None:
    """Draw in what two configs differ, and what else there is to say of each.

    Args:
        one: the one that is known.
        other: the other one.
        first: name of the one.
        second: name of the other.
        more: rows of a name and what both have.
    """
    rows = [(row.label, row.before, row.after) for row in parameter_rows.changes(one, other)]
    components.static_table(
        ["Parameter", first, second],
        [
            (name, components.Cell(was, "was"), components.Cell(then, "now"))
            for name, was, then in (*rows, *more)
        ],
    )


def _beside_an_experiment(tried: ConfigVersion | None) -> None:
    if tried is not None:
        st.caption(f":material/experiment: v{tried.version} is tried now: applying this ends the experiment.")


def _try(page: PageContext, change: PendingChange) -> None:
    reason = st.session_state.get(_REASON, "")

    def write() -> None:
        st.session_state[_WRITTEN] = replace(change, reason=reason)
        page.service.start_experiment(
            page.actor, change.config, expected_version=change.base, reason=reason, scope=change.scope
        )
        _close()

    notices.act(write, "Tried for 5 minutes, in turns with what is in force")
    if notices.CONFLICT in st.session_state:
        _close()


def _apply(page: PageContext, change: PendingChange) -> None:
    reason = st.session_state.get(_REASON, "")

    def write() -> None:
        st.session_state[_WRITTEN] = replace(change, reason=reason)
        _write(page, change, reason)
        _close()

    notices.act(write, f"{change.title}: in force for the next recall")
    if notices.CONFLICT in st.session_state:
        _close()


def _write(page: PageContext, change: PendingChange, reason: str) -> None:
    service, scope = page.service, change.scope
    seen: dict[str, Any] = {"expected_version": change.base, "reason": reason}
    at = service.configs().in_scope(scope) or service.configs().default
    if change.mode is not None and change.restores is None and change.config == at.config:
        service.set_mode(page.actor, change.mode, scope=scope, **seen)
        return
    seen["foretold"] = _finished_prediction(page, change)
    if change.strategy is not None:
        service.switch_strategy(page.actor, change.strategy, config=change.config, **seen)
    elif change.restores == 0:
        service.end_exception(page.actor, scope, **seen)
    elif change.restores is not None:
        service.roll_back(page.actor, change.restores, **seen)
    else:
        service.apply(page.actor, change.config, scope=scope, mode=change.mode, **seen)


def _drop_conflict() -> None:
    st.session_state.pop(notices.CONFLICT, None)


def _close() -> None:
    st.session_state.pop(_PENDING, None)


def _finished_prediction(page: PageContext, change: PendingChange) -> WhatIf | None:
    """Return what the dialog's simulation said, if it had ended by the time that the person applied."""
    try:
        return page.service.forecast({_CASE: change.config}, change.scope).answer
    except ValueError:
        return None


def _config_seen(page: PageContext, conflict: ConfigConflict) -> TuningConfig:
    """Return the config that the writer saw: its version's, or the one that holds where there is none."""
    past = page.service.history(500)
    version = next((v for v in past if v.version == conflict.expected), None)
    if version is not None:
        return version.config
    change: PendingChange | None = st.session_state.get(_WRITTEN)
    alone = change is None or change.scope == "all"
    return ConfigSet().default.config if alone else page.service.configs().default.config


def _config_in_force(page: PageContext, conflict: ConfigConflict) -> TuningConfig:
    return conflict.current.config if conflict.current else page.service.configs().default.config


def _rebase(page: PageContext, conflict: ConfigConflict, merged: TuningConfig) -> None:
    scope = conflict.current.scope if conflict.current else "all"
    wanted: PendingChange = st.session_state.get(_WRITTEN) or PendingChange("", 0, merged, scope)
    _drop_conflict()
    at = page.service.configs().in_scope(wanted.scope)
    show(
        replace(
            wanted,
            title="Apply on top of the newest version",
            base=at.version if at else 0,
            config=merged,
            restores=0 if wanted.restores == 0 else None,  # what is merged is no earlier version
        )
    )
