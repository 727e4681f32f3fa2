"""The dashboard: ``streamlit run app.py``. One manager, one store and one service for all who look at it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import click
import streamlit as st
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from athena_tuning import locations
from athena_tuning.service.access import COOKIE
from athena_tuning.ui.frame.middleware import KnownHosts, SafeHeaders, UploadQuota


def send_at_once(loop: asyncio.AbstractEventLoop) -> None:
    """Switch Nagle's algorithm off on every socket that the loop will serve from now on.

    Streamlit binds its socket under protocol 0, for which asyncio leaves it on: every answer of more than one
    message then waits 40 ms for the acknowledgement of the first. Streamlit hands the socket to the loop once
    the app has started, and gives it to nobody else. Connections inherit the option.
    """
    serve = loop.create_server

    @functools.wraps(serve)
    async def create_server(*args: Any, **more: Any) -> asyncio.AbstractServer:
        bound = more.get("sock")
        if bound is not None and bound.family in {socket.AF_INET, socket.AF_INET6}:
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return await serve(*args, **more)

    with contextlib.suppress(AttributeError):  # uvloop's: it lets nothing be changed, and delays nothing
        loop.create_server = create_server  # type: ignore[assignment, method-assign]


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[dict[str, Any]]:
    """Open the service while the server starts, so that the first visitor does not wait for it; close it."""
    from athena_tuning.ui.frame import page_context

    send_at_once(asyncio.get_running_loop())
    if not page_context.listens_on_loopback():
        click.echo(f"Who opens /{page_context.operator_token().query} becomes an operator; others look only.")
    warm = threading.Thread(target=page_context.warm_up, name="warm up", daemon=True)
    warm.start()
    yield {}
    warm.join(30)
    page_context.shut_down()


def to_first_page(request: Request) -> RedirectResponse:
    """Lead from the first page's name to its address: Streamlit knows it only as the root."""
    return RedirectResponse(f"./?{request.url.query}" if request.url.query else "./")


def to_operator(request: Request) -> Response:
    """Make an operator of who has the token, and lead to the first page."""
    from athena_tuning.ui.frame import page_context

    token = page_context.operator_token()
    if not token.opens(request.query_params.get("token", "")):
        return PlainTextResponse(
            "This link is not valid. The terminal of the app prints the one that is.", 403
        )
    answer = RedirectResponse("./", 303)
    answer.set_cookie(
        COOKIE, token.cookie, httponly=True, samesite="strict", secure=request.url.scheme == "https"
    )
    return answer


app = st.App(
    locations.dashboard() / "pages" / "frame.py",
    lifespan=lifespan,
    routes=[Route("/overview", to_first_page), Route("/operator", to_operator)],
    middleware=[Middleware(SafeHeaders), Middleware(KnownHosts), Middleware(UploadQuota)],
)
