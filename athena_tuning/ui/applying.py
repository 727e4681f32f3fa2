"""How a person puts a config in force: a dialog with the difference, a reason and the version it rests on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import streamlit as st

from athena_tuning.model import ConfigVersion, Mode, TuningConfig, TuningStrategy
from athena_tuning.store import ConfigConflict
from athena_tuning.ui import notices, parts, text, units
from athena_tuning.ui.shell import Here

_PENDING = "pending change"
_REASON = "reason"


@dataclass(frozen=True, slots=True)
class Change:
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
    """

    title: str
    base: int
    config: TuningConfig
    scope: str = "all"
    reason: str = ""
    strategy: TuningStrategy | None = None
    mode: Mode | None = None
    restores: int | None = None


def ask(change: Change) -> None:
    """Open the dialog for a change; meant for ``on_click``."""
    st.session_state[_PENDING] = change
    st.session_state[_REASON] = change.reason


def undo(here: Here, scope: str, version: int) -> None:
    """Take back the newest change of a scope; meant for ``on_click``."""
    notices.act(
        lambda: here.service.undo(here.actor, expected_version=version, scope=scope),
        "The last change is undone",
    )


def dialog(here: Here) -> None:
    """Draw the dialog, if a change waits for its answer."""
    change = st.session_state.get(_PENDING)
    if change is not None:
        st.dialog(change.title, width="medium", on_dismiss=_forget)(_body)(here, change)


def conflict(here: Here) -> None:
    """Show the two sides of a conflict, and the ways on."""
    found: ConfigConflict | None = st.session_state.get(notices.CONFLICT)
    if found is None:
        return
    with parts.card("conflict", "Somebody else wrote first"):
        there = found.current
        st.text(
            f"You looked at version {found.expected}. "
            + (
                f"Version {there.version} by {text.plain(there.author, 40)} is in force since: "
                f"{text.plain(there.reason, 160)}"
                if there
                else "Nothing is in force for this scope."
            )
        )
        parts.sheet(
            ["Parameter", "In force", "Yours"],
            [
                (name, parts.Cell(units.setting(a), "was"), parts.Cell(units.setting(b), "now"))
                for name, a, b in between(found)
            ]
            or [("nothing", "the same", "the same")],
        )
        with st.container(horizontal=True):
            st.button(
                "Apply mine on top",
                type="primary",
                icon=":material/merge:",
                on_click=_rebase,
                args=(here, found),
                disabled=not here.can_write,
            )
            st.button("Drop mine", on_click=lambda: st.session_state.pop(notices.CONFLICT, None))


def between(error: ConfigConflict) -> Sequence[tuple[str, object, object]]:
    """Return (field, in force, wanted) for what the two sides of a conflict do not agree on."""
    in_force = error.current.config if error.current else TuningConfig()
    changes = in_force.changes_to(error.proposed)
    return [(name, here, there) for name, (here, there) in changes.items()]


def _body(here: Here, change: Change) -> None:
    at = here.service.configs().in_scope(change.scope) or here.service.configs().default
    differences(at, change.config, mode=change.mode)
    whom = "all query types" if change.scope == "all" else f"recalls of type {text.plain(change.scope, 30)}"
    st.text(f"For {whom}, on top of version {change.base}. The next recall uses it.")
    st.text_input("Reason", key=_REASON, max_chars=500, placeholder="Why? The history will say so.")
    with st.container(horizontal=True, horizontal_alignment="right"):
        done = st.button("Cancel", on_click=_forget)
        done |= st.button(
            "Apply",
            type="primary",
            icon=":material/check:",
            disabled=not here.can_write,
            on_click=_apply,
            args=(here, change),
        )
    if done:
        st.rerun()


def differences(at: ConfigVersion, wanted: TuningConfig, *, mode: Mode | None = None) -> None:
    """Draw what a config would change."""
    rows: list[tuple[object, ...]] = [
        (name, parts.Cell(units.setting(a), "was"), parts.Cell(units.setting(b), "now"))
        for name, (a, b) in at.config.changes_to(wanted).items()
    ]
    if mode is not None and mode is not at.mode:
        rows.append(("mode", parts.Cell(at.mode.value, "was"), parts.Cell(mode.value, "now")))
    if rows:
        parts.sheet(["Parameter", f"In force (v{at.version})", "Then"], rows)
    else:
        st.text("No value changes; the history gets a new version all the same.")


def _apply(here: Here, change: Change) -> None:
    reason = st.session_state.get(_REASON, "")

    def write() -> object:
        if change.strategy is not None:
            return here.service.switch_strategy(
                here.actor, change.strategy, expected_version=change.base, reason=reason
            )
        return here.service.apply(
            here.actor,
            change.config,
            expected_version=change.base,
            reason=reason,
            scope=change.scope,
            mode=change.mode,
            restores=change.restores,
        )

    _and_forget(write, f"{change.title}: in force for the next recall")


def _and_forget(write: Callable[[], object], done: str) -> None:
    notices.act(write, done)
    _forget()


def _forget() -> None:
    st.session_state.pop(_PENDING, None)


def _rebase(here: Here, found: ConfigConflict) -> None:
    st.session_state.pop(notices.CONFLICT, None)
    scope = found.current.scope if found.current else "all"
    at = here.service.configs().in_scope(scope)
    ask(Change("Apply on top of the newest version", at.version if at else 0, found.proposed, scope))
