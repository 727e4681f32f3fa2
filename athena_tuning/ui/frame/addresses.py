"""Addresses of pages, with what is looked at in them."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

import streamlit as st

from athena_tuning.ui.frame.navigation import PAGES

KEPT = ("range", "from", "to", "source", "type", "layer", "tz", "slo")
"""What of a page's address holds on every other page."""


def relative(url: str, **more: str) -> str:
    """Return the address of a page as seen from any other page, with what is looked at now."""
    held = {key: st.query_params[key] for key in KEPT if key in st.query_params}
    name = "" if url == "overview" else url
    return f"./{name}?{urlencode({**held, **more})}"


def address(url: str, **more: str) -> str:
    """Return the whole address of a page, for a link that somebody else may open."""
    parts = urlsplit(st.context.url or "")
    above, _, last = parts.path.rstrip("/").rpartition("/")
    base = above if last in PAGES else parts.path.rstrip("/")
    return parts._replace(path=f"{base}/{url}", query=urlencode(more), fragment="").geturl()
