"""The frame of every page: what is looked at, how things stand, and who looks."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from athena_tuning.model import LAYERS, QUERY_TYPES, Mode
from athena_tuning.store import StoreError
from athena_tuning.ui import notices, parts, text, units
from athena_tuning.ui.navigation import SECTIONS
from athena_tuning.ui.roles import Actor, Role, actor_from
from athena_tuning.ui.service import TuningService
from athena_tuning.ui.standing import Standing
from athena_tuning.ui.view import DEFAULT_RANGE, RANGES, View, view_of

ALL = "all"
REFRESH = {"off": None, "2 s": 2.0, "5 s": 5.0, "30 s": 30.0}
ZONES = (
    "UTC", "Africa/Cairo", "Africa/Johannesburg", "Africa/Lagos", "America/Bogota", "America/Chicago",
    "America/Denver", "America/Los_Angeles", "America/Mexico_City", "America/New_York", "America/Sao_Paulo",
    "Asia/Dubai", "Asia/Hong_Kong", "Asia/Jakarta", "Asia/Kolkata", "Asia/Seoul", "Asia/Shanghai",
    "Asia/Singapore", "Asia/Tokyo", "Australia/Sydney", "Europe/Berlin", "Europe/Istanbul", "Europe/London",
    "Europe/Moscow", "Europe/Paris", "Pacific/Auckland",
)  # fmt: skip
STALE_SECONDS = 60.0
_opened: dict[str, TuningService] = {}

logger = logging.getLogger(__name__)


@st.cache_resource(show_spinner="Opening the memory and the store…")
def service() -> TuningService:
    """Return this process' one service."""
    _opened["service"] = TuningService.open()
    return _opened["service"]


def warm_up() -> None:
    """Open the service before somebody asks for it; a failure shows on the page."""
    try:
        service()
    except (StoreError, OSError, ValueError):
        logger.exception("the dashboard cannot open its store or its memory")


def shut_down() -> None:
    """Close the service, if it was opened."""
    if (opened := _opened.pop("service", None)) is not None:
        opened.close()


def admitted() -> bool:
    """Whether to show pages: without sign-in to everybody, else to whoever has signed in."""
    if not sign_in_is_configured() or st.user.is_logged_in:
        return True
    st.title("athena_tuning", anchor=False)
    st.text("Sign in to see how the memory does.")
    st.button("Sign in", on_click=st.login, type="primary", icon=":material/login:")
    return False


def actor() -> Actor:
    """Return who is at the page."""
    sign_in = sign_in_is_configured()
    claims = dict(st.user) if sign_in and st.user.is_logged_in else None
    address = st.get_option("server.address") or ""
    return actor_from(claims, sign_in=sign_in, loopback=address in {"127.0.0.1", "localhost", "::1"})


def sign_in_is_configured() -> bool:
    """Whether people have to sign in: a section ``[auth]`` in Streamlit's secrets."""
    try:
        return "auth" in st.secrets
    except FileNotFoundError:
        return False


@dataclass(frozen=True)
class Here:
    """What a page works with.

    Attributes:
        service: all reads and writes.
        actor: who looks.
        view: what is looked at.
        slo_ms: the promised p99 in ms, as this view has it; None for none.
        every: seconds between two refreshes; None for none.
    """

    service: TuningService
    actor: Actor
    view: View
    slo_ms: float | None
    every: float | None

    @property
    def can_write(self) -> bool:
        """Whether a write by this person would be taken now."""
        return self.actor.role is Role.OPERATOR and self.service.blocked() is None

    def ask(self, read: Callable[..., Any], *more: Any) -> Any:
        """Return a read of this page's view."""
        return self.service.ask(read, self.view, *more)

    def live(self, body: Callable[[View], None], every: float | None = None) -> None:
        """Draw a part that renews itself, with the period moved up to now each time."""

        def draw() -> None:
            notices.guarded(body, _view(self.service, fresh=True))

        st.fragment(draw, run_every=every or self.every)()


def open_page(url: str, *, live: bool = False) -> Here:
    """Draw the frame of a page and return what it works with.

    Args:
        url: the page's address.
        live: whether the page renews itself; else it keeps its moment until asked for a newer one.
    """
    entry = next(entry for entries in SECTIONS.values() for entry in entries if entry.url == url)
    try:
        here = service()
    except (StoreError, OSError, ValueError) as failure:
        st.title(entry.title)
        st.error("The dashboard cannot start: its store or its memory cannot be opened.")
        st.text(text.plain(failure, 400))
        if st.button("Try again", icon=":material/refresh:"):
            st.rerun()
        st.stop()
    if st.session_state.get("page") != url:
        st.session_state["page"] = url
        _renew()
    who = actor()
    heading = st.container(key="heading", horizontal=True, vertical_alignment="center", gap="medium")
    _controls(here, live)
    every = REFRESH.get(st.session_state.get("refresh", ""), 5.0)
    with heading:
        st.title(entry.title, anchor=False, width="content")
        st.fragment(_standing, run_every=every)(here, who)
    notices.show()
    _read_only(here)
    return Here(here, who, _view(here, fresh=live), _slo(), every)


def _standing(service: TuningService, who: Actor) -> None:
    def draw() -> None:
        stands = service.standing()
        parts.chips(_chips(stands, who))

    notices.guarded(draw)


def _chips(stands: Standing, who: Actor) -> list[parts.Chip]:
    modes = {
        Mode.AUTO: "the tuner applies",
        Mode.ADVISE: "the tuner proposes, a person applies",
        Mode.PINNED: "a person's values hold, the tuner only watches",
    }
    chips = [
        parts.Chip(stands.strategy.value, "strategy", "accent", "what the operator wants most"),
        parts.Chip(stands.mode.value, "mode", "", modes[stands.mode]),
        parts.Chip(f"v{stands.version}", "config", "", "the version in force for all types"),
    ]
    if stands.behind:
        chips.append(parts.Chip("store unreachable", "", "bad", "shown is what was read before"))
    elif stands.data_age is None:
        chips.append(parts.Chip("no data yet", "", "warn", "no recall has been recorded"))
    else:
        old = stands.data_age > STALE_SECONDS
        chips.append(
            parts.Chip(
                units.age(stands.data_age), "data", "warn" if old else "good", "age of the newest recall"
            )
        )
    if stands.demo:
        chips.append(
            parts.Chip("demo load", "", "accent", "a gentle load on the sample memory; stop it on System")
        )
    if stands.blocked:
        chips.append(parts.Chip("no manager alive", "", "bad", stands.blocked))
    if who.role is Role.VIEWER:
        chips.append(parts.Chip("read only", "", "warn", "viewers look; operators write"))
    return chips


def _controls(service: TuningService, live: bool) -> None:
    with st.container(key="bar", horizontal=True, vertical_alignment="center", gap="small"):
        st.segmented_control(
            "Time range",
            [*RANGES, "custom"],
            default=DEFAULT_RANGE,
            required=True,
            key="range",
            bind="query-params",
            label_visibility="collapsed",
            on_change=_renew,
        )
        with st.popover(_filter_label(), icon=":material/filter_alt:"):
            _filters(service)
        st.selectbox(
            "Refresh",
            list(REFRESH),
            index=2,
            key="refresh",
            bind="query-params",
            label_visibility="collapsed",
            width=96,
            format_func=lambda name: f"↻ {name}",
        )
        if not live:
            at = st.session_state.get("as_of", service.now)
            st.button(
                f"As of {units.moment(at, _zone(), date=False)}",
                icon=":material/refresh:",
                on_click=_renew,
                help="This page keeps its moment while you read it. Press to look at now.",
                type="tertiary",
            )
    if st.session_state.get("range") == "custom":
        with st.container(horizontal=True):
            now = datetime.fromtimestamp(service.now, UTC).replace(tzinfo=None, microsecond=0)
            st.datetime_input(
                "From",
                now.replace(hour=0, minute=0, second=0),
                key="from",
                bind="query-params",
                width=230,
                on_change=_renew,
            )
            st.datetime_input("To", now, key="to", bind="query-params", width=230, on_change=_renew)


def _filters(service: TuningService) -> None:
    types = list(dict.fromkeys([ALL, *QUERY_TYPES, *service.window.query_types()]))
    layers = list(dict.fromkeys([ALL, *LAYERS, *service.window.layers()]))
    st.selectbox("Query type", types, key="type", bind="query-params", on_change=_renew, format_func=_name)
    st.selectbox("Layer", layers, key="layer", bind="query-params", on_change=_renew, format_func=_name)
    st.selectbox(
        "Timezone",
        list(dict.fromkeys([*ZONES, _browser_zone()])),
        key="tz",
        bind="query-params",
        index=[*dict.fromkeys([*ZONES, _browser_zone()])].index(_browser_zone()),
    )
    st.number_input(
        "SLO: p99 at most, ms",
        min_value=0,
        value=_default_slo(),
        step=10,
        key="slo",
        bind="query-params",
        help="Drawn on the charts and judged on the overview. It travels with the link; 0 is none.",
    )


def _name(value: str) -> str:
    return "All" if value == ALL else text.plain(value, 40)


def _filter_label() -> str:
    chosen = [st.session_state.get(key, ALL) for key in ("type", "layer")]
    told = " · ".join(text.markdown(value, 24) for value in chosen if value != ALL)
    return told or "All queries"


def _renew() -> None:
    st.session_state.pop("as_of", None)


def _view(service: TuningService, *, fresh: bool) -> View:
    """Return the chosen view, of this moment or of the one that the page keeps."""
    state = st.session_state
    if fresh or "as_of" not in state:
        state["as_of"] = service.now
    kind, layer = state.get("type", ALL), state.get("layer", ALL)
    return view_of(
        state.get("range", DEFAULT_RANGE),
        state["as_of"],
        custom=_custom(),
        query_type=None if kind == ALL else kind,
        layer=None if layer == ALL else layer,
        timezone=_zone(),
    )


def _custom() -> tuple[float, float] | None:
    start, end = st.session_state.get("from"), st.session_state.get("to")
    if not (isinstance(start, datetime) and isinstance(end, datetime)):
        return None
    zone = units.zone(_zone())
    return start.replace(tzinfo=zone).timestamp(), end.replace(tzinfo=zone).timestamp()


def _zone() -> str:
    return str(st.session_state.get("tz") or _browser_zone())


def _browser_zone() -> str:
    name = st.context.timezone or "UTC"
    return name if str(units.zone(name)) == name else "UTC"


def _slo() -> float | None:
    return float(st.session_state.get("slo", _default_slo())) or None


def _default_slo() -> int:
    named = os.environ.get("ATHENA_TUNING_SLO_MS", "")
    return int(named) if named.isdigit() else 0


def _read_only(service: TuningService) -> None:
    if reason := service.blocked():
        st.info(
            f"Read only: {reason}. What was measured before can still be looked at.",
            icon=":material/link_off:",
        )
