"""What the tuner says, as Overview and Config show it: a verdict, its interval as a picture, its error."""

from __future__ import annotations

import html
import math

import streamlit as st

from athena_tuning.model import Proposal
from athena_tuning.service import text
from athena_tuning.service.chart_rows import percent
from athena_tuning.service.verdict import WEIGHS, Verdict, VerdictKind, verdict_of
from athena_tuning.tuning.simulation.what_if import Estimate
from athena_tuning.ui.frame import exploring
from athena_tuning.ui.frame.glossary import explained
from athena_tuning.ui.frame.page_context import PageContext

NOBODY = "No tuner has told a proposal yet. One does as soon as a manager leads on this store."
_TONES = {
    VerdictKind.WORTH: "good",
    VerdictKind.PERHAPS: "warn",
    VerdictKind.NOTHING: "",
    VerdictKind.UNKNOWN: "",
}


def draw(page: PageContext, proposal: Proposal) -> Verdict:
    """Draw the verdict of a proposal, and return it."""
    verdict = verdict_of(proposal)
    if page.explored is not None:
        name = text.markdown(exploring.name_of(page.explored), 90)
        st.caption(
            f":material/frame_inspect: Worked out on {name} alone, as if the tuner had met nothing else. "
            "The managers are not tuned by it."
        )
    st.html(_words(verdict))
    if (
        verdict.kind is VerdictKind.UNKNOWN and verdict.share_known > 0
    ):  # an empty bar is drawn as a stray dot
        st.progress(verdict.share_known)
    if verdict.interval is not None and _is_drawn(verdict.interval):
        st.html(interval_line(verdict.interval, WEIGHS[proposal.strategy]))
    return verdict


def _words(verdict: Verdict) -> str:
    tone = _TONES[verdict.kind]
    kind = f'<span class="{tone}">{verdict.kind}</span>' if verdict.change else ""
    head = verdict.change or str(verdict.kind)
    effect, error, doubt = verdict.effect, verdict.error, verdict.doubt
    lines = [
        f"{effect[:1].upper()}{effect[1:]}." if effect else "",
        f"{error[:1].upper()}{error[1:]}." if error else "",
    ]
    told = "".join(f"<p>{explained(text.plain(line, 320))}</p>" for line in lines if line)
    why = (
        f'<p class="soft">{html.escape(text.plain(doubt[:1].upper() + doubt[1:], 320))}</p>' if doubt else ""
    )
    return f'<div class="verdict">{kind}<h3>{explained(text.plain(head, 200))}</h3>{told}{why}</div>'


def _is_drawn(interval: Estimate) -> bool:
    return all(map(math.isfinite, interval)) and interval.low < interval.high


def interval_line(interval: Estimate, what: str) -> str:
    """Return a line with an interval on it and a stroke at "no change", as HTML.

    Args:
        interval: a change, as log ratios.
        what: changes, in words.
    """
    low, value, high = (math.expm1(min(each, 3.0)) for each in (interval.low, interval.value, interval.high))
    start, end = min(low, 0.0), max(high, 0.0)
    room = 0.12 * (end - start)
    start, width = start - room, end - start + 2 * room

    def at(change: float) -> float:
        return (change - start) / width * 100

    words = f"{percent(interval.low)} to {percent(interval.high)}"
    return (
        f'<div class="interval" role="img" aria-label="change of {html.escape(what)}, 95 % interval {words}">'
        f"<p>Change, 95 % interval <b>{words}</b></p><div>"
        f'<i class="span" style="left: {at(low):.1f}%; width: {at(high) - at(low):.1f}%"></i>'
        f'<i class="dot" style="left: {at(value):.1f}%"></i>'
        f'<i class="zero" style="left: {at(0.0):.1f}%"></i></div>'
        f'<small style="left: {min(at(0.0), 82):.1f}%">no change</small></div>'
    )
