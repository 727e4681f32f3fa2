"""Chips: short facts with a colour, in a row."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import NamedTuple

import streamlit as st

from athena_tuning.service import text


class Chip(NamedTuple):
    """A short fact with a colour ("good", "warn", "bad", "accent" or "") and an explanation on hover."""

    value: str
    label: str = ""
    tone: str = ""
    tip: str = ""


def chips(items: Sequence[Chip]) -> None:
    """Draw chips in a row."""
    drawn = "".join(
        f'<span class="chip {item.tone}" title="{_safe(item.tip)}">'
        + (f"{_safe(item.label)} " if item.label else "<i></i>")
        + f"<b>{_safe(item.value)}</b></span>"
        for item in items
    )
    st.html(f'<div class="chips">{drawn}</div>')


def _safe(value: object) -> str:
    return html.escape(text.plain(value, 120))
