"""How a person puts a config in force: a dialog with the difference, a reason and the version it rests on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import streamlit as st

from athena_tuning.load.run_handle import State
from athena_tuning.load.whatif_run import WhatIfRun
from athena_tuning.model import ConfigSet, ConfigVersion, Mode, TuningConfig, TuningStrategy
from athena_tuning.service import text, units
from athena_tuning.store import ConfigConflict
from athena_tuning.tuning.simulation.what_if import WhatIf
from athena_tuning.ui.config import predictions
from athena_tuning.ui.frame import components, notices
from athena_tuning.ui.frame.page_context import PageContext

_PENDING = "pending change"
_REASON = "reason"
_WRITING = "change being written"
_THEN = "then"


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


def is_open() -> bool:
    """Whether a dialog of this module waits for its answer."""
    return st.session_state.get(_PENDING) is not None or notices.CONFLICT in st.session_state


def undo(page: PageContext, scope: str, version: int, reason: str) -> None:
    """Take back the newest change of a scope; meant for ``on_click``.

    Args:
        page: the page.
        scope: "all" or a query type.
        version: in force for it, as the person saw it.
        reason: what is taken back, in the service's words.
    """
    st.session_state.pop(_WRITING, None)
    notices.act(
        lambda: page.service.undo(page.actor, expected_version=version, scope=scope),
        f"Done: {text.plain(reason)}",
    )


def dialog(page: PageContext) -> None:
    """Draw the dialog for a change that waits for its answer, or for one that somebody else overtook."""
    overtaken: ConfigConflict | None = st.session_state.get(notices.CONFLICT)
    change: Change | None = st.session_state.get(_PENDING)
    if overtaken is not None:
        st.dialog("Not applied", width="large", on_dismiss=_drop)(_conflict)(page, overtaken)
    elif change is not None:
        st.dialog(change.title, width="medium", on_dismiss=_forget)(_body)(page, change)


def _conflict(page: PageContext, found: ConfigConflict) -> None:
    """Draw both sides of a conflict, and the ways on."""
    there, merged = found.current, _merged(page, found)
    st.text(
        f"Somebody else wrote first. You looked at version {found.expected}. "
        + (
            f"Version {there.version} by {text.plain(there.author, 40)} is in force since: "
            f"{text.plain(there.reason, 160)}"
            if there
            else "Nothing is in force for this scope."
        )
    )
    components.sheet(
        ["Parameter", "You saw", "In force", "Yours", "Together"],
        [
            (
                name,
                components.Cell(saw, "was"),
                components.Cell(theirs, "was"),
                mine,
                components.Cell(both, "now"),
            )
            for name, saw, theirs, mine, both in sides(_seen(page, found), found, merged)
        ]
        or [("nothing", *(["the same"] * 4))],
    )
    st.caption("Together: what you changed, on top of what is in force; where both changed it, yours.")
    with st.container(horizontal=True, horizontal_alignment="right"):
        done = st.button("Drop mine", on_click=_drop)
        done |= st.button(
            "Apply mine on top",
            type="primary",
            icon=":material/merge:",
            on_click=_rebase,
            args=(page, found),
            disabled=not page.can_write,
        )
    if done:
        st.rerun()


def sides(seen: TuningConfig, error: ConfigConflict, merged: TuningConfig) -> list[tuple[str, ...]]:
    """Return (field, seen, in force, wanted, merged) for every field that the sides do not agree on."""
    in_force = error.current.config if error.current else seen
    columns = [config.to_dict() for config in (seen, in_force, error.proposed, merged)]
    return [
        (name, *(units.setting(values[name]) for values in columns))
        for name in columns[0]
        if any(values[name] != columns[0][name] for values in columns)
    ]


def rebased(seen: TuningConfig, in_force: TuningConfig, wanted: TuningConfig) -> TuningConfig:
    """Return what is in force with what somebody changed who had seen another config.

    Example:
        >>> seen, theirs = TuningConfig(max_concurrent=5), TuningConfig(max_concurrent=9)
        >>> mine = TuningConfig(max_concurrent=5, enable_cache=False)
        >>> both = rebased(seen, theirs, mine)
        >>> both.max_concurrent, both.enable_cache
        (9, False)
    """
    changed = {name: there for name, (_, there) in seen.changes_to(wanted).items()}
    return TuningConfig.from_dict({**in_force.to_dict(), **changed})


def _body(page: PageContext, change: Change) -> None:
    at = page.service.configs().in_scope(change.scope) or page.service.configs().default
    differences(at, change.config, mode=change.mode)
    whom = "all query types" if change.scope == "all" else f"recalls of type {text.plain(change.scope, 30)}"
    st.text(f"For {whom}, on top of version {change.base}. The next recall uses it.")
    if change.config != at.config:
        with st.container(key="foretold"):
            st.markdown("**Predicted on the newest recalls**")
            _predicted(page, change)
    st.text_input("Reason", key=_REASON, max_chars=500, placeholder="Why? The history will say so.")
    with st.container(horizontal=True, horizontal_alignment="right"):
        done = st.button("Cancel", on_click=_forget)
        done |= st.button(
            "Apply",
            type="primary",
            icon=":material/check:",
            disabled=not page.can_write,
            on_click=_apply,
            args=(page, change),
        )
    if done:
        st.rerun()


def _predicted(page: PageContext, change: Change) -> None:
    try:
        run = page.service.forecast({_THEN: change.config}, change.scope)
    except ValueError as busy:
        st.caption(f"No prediction: {busy}.")
        return
    if run.state is State.RUNNING:
        st.fragment(lambda: _until_predicted(run), run_every=0.6)()
    else:
        predictions.effect(run, _THEN)


def _until_predicted(run: WhatIfRun) -> None:
    """Draw the wait and then what came, in its place: a dialog that is drawn anew loses what was typed."""
    predictions.effect(run, _THEN)


def differences(at: ConfigVersion, wanted: TuningConfig, *, mode: Mode | None = None) -> None:
    """Draw what a config would change."""
    rows: list[tuple[object, ...]] = [
        (name, components.Cell(units.setting(a), "was"), components.Cell(units.setting(b), "now"))
        for name, (a, b) in at.config.changes_to(wanted).items()
    ]
    if mode is not None and mode is not at.mode:
        rows.append(("mode", components.Cell(at.mode.value, "was"), components.Cell(mode.value, "now")))
    if rows:
        components.sheet(["Parameter", f"In force (v{at.version})", "Then"], rows)
    else:
        st.text("No value changes; the history gets a new version all the same.")


def _apply(page: PageContext, change: Change) -> None:
    reason = st.session_state.get(_REASON, "")

    def write() -> object:
        st.session_state[_WRITING] = replace(change, reason=reason)
        return _written(page, change, reason)

    _and_forget(write, f"{change.title}: in force for the next recall")


def _written(page: PageContext, change: Change, reason: str) -> object:
    service, actor, base = page.service, page.actor, change.base
    if change.strategy is not None:
        return service.switch_strategy(
            actor,
            change.strategy,
            expected_version=base,
            reason=reason,
            config=change.config,
            foretold=_known(page, change),
        )
    if change.restores is not None:
        foretold = _known(page, change)
        if change.restores == 0:
            return service.end_exception(
                actor, change.scope, expected_version=base, reason=reason, foretold=foretold
            )
        return service.roll_back(
            actor, change.restores, expected_version=base, reason=reason, foretold=foretold
        )
    at = service.configs().in_scope(change.scope) or service.configs().default
    if change.mode is not None and change.config == at.config:
        return service.set_mode(actor, change.mode, expected_version=base, reason=reason, scope=change.scope)
    return service.apply(
        actor,
        change.config,
        expected_version=base,
        reason=reason,
        scope=change.scope,
        mode=change.mode,
        foretold=_known(page, change),
    )


def _and_forget(write: Callable[[], object], done: str) -> None:
    notices.act(write, done)
    _forget()


def _drop() -> None:
    st.session_state.pop(notices.CONFLICT, None)


def _forget() -> None:
    st.session_state.pop(_PENDING, None)


def _known(page: PageContext, change: Change) -> WhatIf | None:
    """Return what the dialog's simulation said, if it had ended by the time that the person applied."""
    try:
        return page.service.forecast({_THEN: change.config}, change.scope).found
    except ValueError:
        return None


def _seen(page: PageContext, found: ConfigConflict) -> TuningConfig:
    """Return the config that the writer saw: its version's, or the one that holds where there is none."""
    past = page.service.history(500)
    version = next((v for v in past if v.version == found.expected), None)
    if version is not None:
        return version.config
    change: Change | None = st.session_state.get(_WRITING)
    alone = change is None or change.scope == "all"
    return ConfigSet().default.config if alone else page.service.configs().default.config


def _merged(page: PageContext, found: ConfigConflict) -> TuningConfig:
    seen = _seen(page, found)
    in_force = found.current.config if found.current else page.service.configs().default.config
    return rebased(seen, in_force, found.proposed)


def _rebase(page: PageContext, found: ConfigConflict) -> None:
    merged = _merged(page, found)
    scope = found.current.scope if found.current else "all"
    wanted: Change = st.session_state.get(_WRITING) or Change("", 0, merged, scope)
    st.session_state.pop(notices.CONFLICT, None)
    at = page.service.configs().in_scope(wanted.scope)
    ask(
        replace(
            wanted,
            title="Apply on top of the newest version",
            base=at.version if at else 0,
            config=merged,
            restores=0 if wanted.restores == 0 else None,  # what is merged is no earlier version
        )
    )
