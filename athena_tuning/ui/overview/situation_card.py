"""The first thing that Overview says: whether all is well, why not, and the way out."""

from __future__ import annotations

import streamlit as st

from athena_tuning.model import ConfigSet
from athena_tuning.service import text
from athena_tuning.service.facts import Act, Situation, WayOut
from athena_tuning.ui.config import apply_dialog
from athena_tuning.ui.config.apply_dialog import PendingChange
from athena_tuning.ui.frame.glossary import explained
from athena_tuning.ui.frame.navigation import page_file
from athena_tuning.ui.frame.page_context import PageContext
from athena_tuning.ui.overview import promise_dialog

_SIGNS = {"good": "check_circle", "warn": "warning", "bad": "error", "quiet": "flag"}


def draw(page: PageContext, situation: Situation) -> None:
    """Draw the sentence, its reasons and its ways out; a roll-back stands out."""
    with st.container(
        key=f"situation-{situation.level}", horizontal=True, vertical_alignment="center", gap="medium"
    ):
        st.html(_words(situation), width="stretch")
        with st.container(horizontal=True, width="content", gap="small"):
            for way in reversed(situation.ways_out):
                _way_out(page, way)


def _words(situation: Situation) -> str:
    reasons = "".join(f"<p>{explained(text.plain(reason, 320))}</p>" for reason in situation.reasons)
    sentence = explained(text.plain(situation.sentence, 240))
    return f'<div class="say" role="status"><h2>{sentence}</h2>{reasons}</div>'


def _way_out(page: PageContext, way: WayOut) -> None:
    if way.act is Act.PAGE:
        st.page_link(page_file(way.target), label=way.label, icon=":material/arrow_forward:", width="content")
        return
    chosen = st.button(
        way.label,
        key=f"way-{way.act.name.lower()}",
        type="primary" if way.act is Act.ROLL_BACK else "secondary",
        icon=":material/undo:" if way.act is Act.ROLL_BACK else ":material/flag:",
        disabled=not (page.can_write if way.act is Act.ROLL_BACK else page.is_operator),
    )
    if not chosen:
        return
    if way.act is Act.PROMISE:
        promise_dialog.show()
    else:
        apply_dialog.show(roll_back(page, int(way.target)))
    st.rerun()  # the dialog belongs to the whole page, this card renews itself


def roll_back(page: PageContext, version: int) -> PendingChange:
    """Return the change that brings an earlier version for all types back; 0: the defaults."""
    at = page.service.configs().default
    if not version:
        defaults = ConfigSet().default.config
        return PendingChange("Roll back to the defaults", at.version, defaults, reason="back to the defaults")
    earlier = next((v for v in page.service.history(500) if v.version == version), at)
    return PendingChange(
        f"Roll back to v{version}",
        at.version,
        earlier.config,
        reason=f"back to v{version}: p99 rose with v{at.version}",
        restores=version,
    )
