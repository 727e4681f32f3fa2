"""The frame of every page: what is looked at, how things stand, and who looks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import streamlit as st
from streamlit import config

from athena_tuning.model import Mode, Proposal, Source, SourceBatch
from athena_tuning.service import text, units, window_reads
from athena_tuning.service.access import COOKIE, LOOPBACK, OperatorToken, is_local_request
from athena_tuning.service.roles import Actor, Role, actor_from
from athena_tuning.service.status import Standing
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.service.view import View
from athena_tuning.store import StoreError
from athena_tuning.ui.frame import controls, exploring, notices, sharing, stage, zoom
from athena_tuning.ui.frame.bell import bell
from athena_tuning.ui.frame.chips import Chip, chips
from athena_tuning.ui.frame.navigation import PageEntry

STALE_SECONDS = 60.0
MODES = {
    Mode.AUTO: "The tuner decides and applies. Every change has its reason in the history.",
    Mode.ADVISE: "The tuner proposes; a person applies.",
    Mode.PINNED: "A person's values hold. The tuner only watches.",
}
"""Who steers."""

_CONTEXT = "page context"
_opened: dict[str, TuningService] = {}

logger = logging.getLogger(__name__)


@st.cache_resource(show_spinner=False)  # a spinner needs a page, and the server opens it before there is one
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
    """Close the service, if it was opened, and the act, if one is shown."""
    stage.end_all()
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
    by_link = operator_token().admits(st.context.cookies.to_dict().get(COOKIE))
    return actor_from(claims, sign_in=sign_in, local=visitor_is_local(), admitted=by_link)


@cache
def operator_token() -> OperatorToken:
    """Return this process' one operator's token."""
    return OperatorToken()


def visitor_is_local() -> bool:
    """Whether the visitor is surely on this machine: only it reaches the app, and no proxy stands between."""
    return listens_on_loopback() and is_local_request(st.context.headers.to_dict())


def listens_on_loopback() -> bool:
    """Whether only this machine reaches the app.

    Streamlit's address tells it under ``streamlit run`` alone: with ``uvicorn app:app`` another server opens
    the socket, wherever it was told to, while the setting reads the same. What tells the two apart is a
    private name of Streamlit's; without it nothing is known, and an app that may be reached is read-only.
    """
    started_by = getattr(config, "_server_mode", None)
    return started_by == "starlette-app" and config.get_option("server.address") in LOOPBACK


def sign_in_is_configured() -> bool:
    """Whether people have to sign in: a section ``[auth]`` in Streamlit's secrets."""
    try:
        return "auth" in st.secrets
    except FileNotFoundError:
        return False


@dataclass(frozen=True)
class PageContext:
    """What a page works with.

    Attributes:
        service: all reads and writes.
        actor: who looks.
        view: what is looked at.
        slo_ms: the promised p99 in ms, as this view has it; None for none.
        every: seconds between two refreshes; None for none.
        explored: the batch that is looked at by itself; None while it is what was measured here.
    """

    service: TuningService
    actor: Actor
    view: View
    slo_ms: float | None
    every: float | None
    explored: SourceBatch | None = None

    @property
    def is_operator(self) -> bool:
        """Whether this person may write: into the store, whether or not a manager is alive."""
        return self.actor.role is Role.OPERATOR

    @property
    def can_write(self) -> bool:
        """Whether a change by this person would be obeyed now."""
        return self.is_operator and self.service.blocked() is None

    def ask(self, read: Callable[..., Any], *more: Any) -> Any:
        """Return a read of this page's view."""
        return self.service.ask(read, self.view, *more)

    def proposal(self, scope: str = "all") -> Proposal | None:
        """Return what the tuner proposes: by what it has met, or by the batch alone that is looked at."""
        return self.service.proposal(scope, self.explored.source if self.explored else None)

    def live(self, body: Callable[[View], None], every: float | None = None, *, calmly: bool = False) -> None:
        """Draw a part that renews itself, with the period moved up to now each time.

        Args:
            body: draws the part.
            every: seconds between two renewals; None: as the person chose.
            calmly: renew it at most every ten seconds: what people read rather than watch.
        """

        def draw() -> None:
            zoom.follow()
            notices.guarded(body, controls.view(self.service, fresh=True))

        chosen = every or self.every
        st.fragment(draw, run_every=max(10.0, chosen) if calmly and chosen else chosen)()


def current() -> PageContext:
    """Return what the page whose script runs works with."""
    context: PageContext = st.session_state[_CONTEXT]
    return context


def open_page(entry: PageEntry) -> PageContext:
    """Draw the frame of a page and return what the page works with.

    The frame belongs to the script of all pages: what is chosen in it, and the address that says so, outlast
    a step to another page.
    """
    opening = nullcontext() if _opened else st.spinner("Opening the memory and the store…")
    try:
        with opening:
            opened = stage.service() or service()
    except (StoreError, OSError, ValueError) as failure:
        st.title(entry.title)
        st.error("The dashboard cannot start: its store or its memory cannot be opened.")
        st.text(text.plain(failure, 400))
        if st.button("Try again", icon=":material/refresh:"):
            st.rerun()
        st.stop()
    if st.session_state.get("page") != entry.url:
        st.session_state["page"] = entry.url
        controls.renew()
    controls.hold_address()
    visitor = actor()
    heading = st.container(key="heading", horizontal=True, vertical_alignment="center", gap="medium")
    _bar(opened, live=entry.live)
    every = controls.every()
    with heading:
        st.title(entry.title, anchor=False, width="content")
        st.fragment(_status, run_every=every)(opened, visitor)
    notices.show()
    _read_only(opened)
    stage.banner()
    exploring.banner(opened, visitor, can_write=visitor.role is Role.OPERATOR)
    view = controls.view(opened, fresh=entry.live)
    context = PageContext(opened, visitor, view, controls.slo(opened), every, exploring.explored(opened))
    st.session_state[_CONTEXT] = context
    return context


def _status(service: TuningService, visitor: Actor) -> None:
    def draw() -> None:
        sources = service.ask(window_reads.sources, controls.view(service, fresh=True))
        # The style sheet shows it while the browser has no connection, when nothing else could.
        shown = units.moment(service.now, controls.zone(), date=False)
        lost = Chip(
            f"no connection: figures are of {shown}", "", "lost", "the app does not answer the browser"
        )
        chips([lost, *_status_chips(service.standing(), visitor), *_source_chips(sources)])

    notices.guarded(draw)


def _status_chips(status: Standing, visitor: Actor) -> list[Chip]:
    chips = [
        Chip(status.strategy.value, "strategy", "accent", "what the operator wants most"),
        Chip(status.mode.value, "mode", "", MODES[status.mode]),
        Chip(f"v{status.version}", "config", "", "the version in force for all types"),
    ]
    if status.tried is not None:
        about = "this config has its turns with the one in force: see Config"
        chips.append(Chip(f"v{status.tried}", "tried", "accent", about))
    if status.behind:
        chips.append(Chip("store unreachable", "", "bad", "shown is what was read before"))
    elif status.data_age is None:
        chips.append(Chip("no data yet", "", "warn", "no recall has been recorded"))
    else:
        old = status.data_age > STALE_SECONDS
        chips.append(
            Chip(units.age(status.data_age), "data", "warn" if old else "good", "age of the newest recall")
        )
    if status.demo:
        chips.append(Chip("demo load", "", "accent", "a gentle load on the sample memory; stop it on System"))
    if status.blocked:
        chips.append(Chip("no manager alive", "", "bad", status.blocked))
    if visitor.role is Role.VIEWER:
        chips.append(Chip("read only", "", "warn", "viewers look; operators write"))
    return chips


def _source_chips(counts: Mapping[str, int]) -> list[Chip]:
    """Return what in the view nobody asked live: the share of load, or what is looked at by itself."""
    sources = {
        "load": "asked by a load run, and really answered",
        "sample": "recorded earlier, loaded from a sample workload",
        "imported": "from a file that somebody brought",
        "simulated": "computed, never run",
    }
    return [
        Chip(
            f"{units.count(n)} ({units.percent(n / sum(counts.values()), 0)})",
            text.plain(name, 24),
            "accent" if name == Source.LOAD else "warn",
            f"recalls in this view: {sources.get(name, name)}",
        )
        for name, n in counts.items()
        if name != "live"
    ][:4]


def _bar(service: TuningService, *, live: bool) -> None:
    with st.container(key="bar", horizontal=True, vertical_alignment="center", gap="small"):
        controls.periods(service)
        exploring.choice(service)
        controls.filters(service)
        controls.refresh(live=live)
        sharing.menu(service, controls.view(service, fresh=live))
        notices.guarded(bell, service)
        zoom.undo_button()
        if not live:
            controls.moment(service)
    controls.custom_period(service)


def _read_only(service: TuningService) -> None:
    if reason := service.blocked():
        st.info(
            f"Read only: {reason}. What was measured before can still be looked at.",
            icon=":material/link_off:",
        )
