"""The controls in every page's bar: period, filter, clock, promise, refresh; all in the address.

A parameter of the address is lost on the way to another page if the browser does not hold its widget. So the
filters are in an expander, which holds what it hides (a popover does not); ``theme.css`` makes a menu of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from athena_tuning.model import LAYERS, QUERY_TYPES
from athena_tuning.model.source import LIVE_ALONE, MEASURED
from athena_tuning.service import text, units
from athena_tuning.service.read_service import ReadService
from athena_tuning.service.view import DEFAULT_RANGE, RANGES, View, view_of
from athena_tuning.ui.frame import exploring
from athena_tuning.ui.frame.addresses import KEPT

ALL = "all"
REFRESH = {"no refresh": None, "every 2 s": 2.0, "every 5 s": 5.0, "every 30 s": 30.0}
ZONES = (
    "UTC", "Africa/Cairo", "Africa/Johannesburg", "Africa/Lagos", "America/Bogota", "America/Chicago",
    "America/Denver", "America/Los_Angeles", "America/Mexico_City", "America/New_York", "America/Sao_Paulo",
    "Asia/Dubai", "Asia/Hong_Kong", "Asia/Jakarta", "Asia/Kolkata", "Asia/Seoul", "Asia/Shanghai",
    "Asia/Singapore", "Asia/Tokyo", "Australia/Sydney", "Europe/Berlin", "Europe/Istanbul", "Europe/London",
    "Europe/Moscow", "Europe/Paris", "Pacific/Auckland",
)  # fmt: skip
_WRITTEN = "%Y-%m-%dT%H:%M"


def hold_address() -> None:
    """Put back into the address what a step to this page took out of it; to be called before any control.

    Streamlit takes the parameters of controls out that the browser had not drawn yet when the page was left.
    Their values it keeps.
    """
    context = get_script_run_ctx()
    asked = dict(parse_qsl(context.query_string)) if context else {}
    lost = {key: asked[key] for key in (*KEPT, "refresh") if key in asked and key not in st.query_params}
    if lost:
        st.query_params.update(lost)


def periods(service: ReadService) -> None:
    """Draw the choice of a period."""
    st.segmented_control(
        "Time range",
        list(dict.fromkeys([*RANGES, "custom", *_dragged()])),
        default=DEFAULT_RANGE,
        required=True,
        key="range",
        bind="query-params",
        label_visibility="collapsed",
        on_change=renew,
        help="A batch that is looked at by itself is shown from its first recall to its last."
        if exploring.explored(service)
        else None,
    )


def interval(start: float, end: float) -> str:
    """Return a range's name for a stretch in Unix seconds, in whole minutes of the chosen timezone."""
    clock = units.zone(zone())
    ends = (start // 60 * 60, -(-end // 60) * 60)
    first, last = (datetime.fromtimestamp(at, clock).strftime("%Y-%m-%d %H:%M") for at in ends)
    return f"{first} – {last.removeprefix(first[:11])}"


def interval_of(range_name: str) -> tuple[datetime, datetime] | None:
    """Return the two ends that a range's name says; None if it is no such range.

    Examples:
        >>> first, last = interval_of("2026-11-24 14:22 – 14:32")
        >>> (last - first).seconds, interval_of("1h"), interval_of("2026-11-24 14:22 – 14:10")
        (600, None, None)
    """
    first, _, last = range_name.partition(" – ")
    last = last if len(last) > len("14:32") else first[:11] + last
    try:
        start, end = (datetime.strptime(each, "%Y-%m-%d %H:%M") for each in (first, last))  # noqa: DTZ007
    except ValueError:
        return None
    return (start, end) if start < end else None


def _dragged() -> list[str]:
    """Return the range that was dragged on a chart, or that a link says, if one was."""
    named = (str(st.session_state.get("range")), str(st.query_params.get("range")))
    return [name for name in dict.fromkeys(named) if interval_of(name)]


def custom_period(service: ReadService) -> None:
    """Draw start and end of a custom period, if that is what was chosen."""
    if st.session_state.get("range") != "custom":
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        now = datetime.fromtimestamp(service.now, units.zone(zone())).replace(tzinfo=None, second=0)
        now = now.replace(microsecond=0)
        for label, key, default in (("From", "from", now - timedelta(hours=24)), ("To", "to", now)):
            st.datetime_input(
                f"{label} ({zone()})", default, key=key, bind="query-params", width=230, on_change=renew
            )


def filters(service: ReadService) -> None:
    """Draw query type, layer, timezone and the promised p99."""
    types = list(dict.fromkeys([ALL, *QUERY_TYPES, *service.window.query_types()]))
    layers = list(dict.fromkeys([ALL, *LAYERS, *service.window.layers()]))
    zones = list(dict.fromkeys([*ZONES, _browser_zone()]))
    chosen = [name for name in (_chosen("type", types), _chosen("layer", layers)) if name != ALL]
    label = " · ".join(text.markdown(name, 24) for name in chosen) or "All queries"
    with st.container(key="filters", width="content"), st.expander(label, icon=":material/filter_alt:"):
        st.selectbox("Query type", types, key="type", bind="query-params", on_change=renew, format_func=_name)
        st.selectbox("Layer", layers, key="layer", bind="query-params", on_change=renew, format_func=_name)
        st.selectbox("Timezone", zones, key="tz", bind="query-params", index=zones.index(_browser_zone()))
        st.number_input(
            "Compare p99 with, ms",
            min_value=0,
            value=0,
            step=10,
            key="slo",
            bind="query-params",
            help="0: with what is promised. It is drawn on the charts and travels with the link.",
        )


def refresh(*, live: bool) -> None:
    """Draw the choice of how often a live page renews itself; any other page holds it, out of sight."""
    with st.container(key="refresh-live" if live else "refresh-held", width="content"):
        st.selectbox(
            "Refresh",
            list(REFRESH),
            index=2,
            key="refresh",
            bind="query-params",
            label_visibility="collapsed",
            width=132,
        )


def moment(service: ReadService) -> None:
    """Draw the moment that a page keeps, and the button that leaves it."""
    at = st.session_state.get("as_of", service.now)
    st.button(
        f"As of {units.moment(at, zone(), date=False)}",
        icon=":material/refresh:",
        on_click=renew,
        help="This page keeps its moment while you read it. Press to look at now.",
        type="tertiary",
    )


def renew() -> None:
    """Leave the moment that a page keeps."""
    st.session_state.pop("as_of", None)


def view(service: ReadService, *, fresh: bool) -> View:
    """Return the chosen view, of this moment or of the one that the page keeps."""
    state = st.session_state
    if not fresh:
        state.setdefault("as_of", service.now)
    kind, layer = state.get("type", ALL), state.get("layer", ALL)
    chosen = state.get("range", DEFAULT_RANGE)
    batch = exploring.explored(service)
    sources = LIVE_ALONE if exploring.live_alone() else MEASURED
    dragged = interval_of(chosen)
    shown = view_of(
        "custom" if dragged else chosen,
        service.now if fresh else state["as_of"],
        custom=_unix(*dragged) if dragged else _custom(),
        query_type=None if kind == ALL else kind,
        layer=None if layer == ALL else layer,
        timezone=zone(),
        sources=frozenset({batch.source}) if batch else sources,
    )
    if batch is None or chosen == "custom" or dragged:
        return shown
    return shown.only(start=math.floor(batch.oldest), end=math.ceil(batch.newest) + 1.0)


def every() -> float | None:
    """Return the seconds between two refreshes; None for none."""
    return REFRESH.get(st.session_state.get("refresh", ""), 5.0)


def slo(service: ReadService) -> float | None:
    """Return the p99 in ms to compare with: the one of this view, else the promised one; None for none."""
    if chosen := float(st.session_state.get("slo", 0)):
        return chosen
    told = service.objectives()
    promise = told.get(st.session_state.get("type", ALL)) or told.get(ALL)
    return promise.p99_ms if promise else None


def zone() -> str:
    """Return whose clock everything is told by."""
    return str(st.session_state.get("tz") or _browser_zone())


def links(shown: View) -> tuple[str, str]:
    """Return two addresses of this page: one that moves on with time, and one of exactly this period."""
    return links_of(shown, st.context.url or "", {key: st.query_params[key] for key in st.query_params})


def links_of(shown: View, url: str, chosen: Mapping[str, str]) -> tuple[str, str]:
    """Return a page's address with what was chosen, and the same with exactly the period that is shown."""
    parts = urlsplit(url)
    clock = units.zone(shown.timezone)
    start, end = (datetime.fromtimestamp(t, clock).strftime(_WRITTEN) for t in (shown.start, shown.end + 59))
    held = {**chosen, "range": "custom", "from": start, "to": end, "tz": shown.timezone}
    if chosen.get("range") != "custom":
        chosen = {key: value for key, value in chosen.items() if key not in {"from", "to"}}
    page = parts._replace(path=parts.path or "/", fragment="")
    return page._replace(query=urlencode(chosen)).geturl(), page._replace(query=urlencode(held)).geturl()


def _name(value: str) -> str:
    return "All" if value == ALL else text.plain(value, 40)


def _chosen(key: str, options: Sequence[str]) -> str:
    """Return what a selectbox further down says: before its first run only the address knows."""
    value = st.session_state.get(key, st.query_params.get(key, ALL))
    return value if value in options else ALL


def _custom() -> tuple[float, float] | None:
    start, end = st.session_state.get("from"), st.session_state.get("to")
    if not (isinstance(start, datetime) and isinstance(end, datetime)):
        return None
    return _unix(start, end)


def _unix(start: datetime, end: datetime) -> tuple[float, float]:
    clock = units.zone(zone())
    return start.replace(tzinfo=clock).timestamp(), end.replace(tzinfo=clock).timestamp()


def _browser_zone() -> str:
    name = st.context.timezone or "UTC"
    return name if str(units.zone(name)) == name else "UTC"
