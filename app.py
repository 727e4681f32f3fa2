"""The dashboard: ``streamlit run app.py``. One manager, one store and one service for all who look at it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import streamlit as st
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from athena_tuning import locations

POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


class SafeHeaders:
    """Lets a page load from here only: whatever a text on it says, no request leaves this machine."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers to every answer."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[dict[str, Any]]:
    """Open the service while the server starts, so that the first visitor does not wait for it; close it."""
    from athena_tuning.ui.frame import page_context

    warm = threading.Thread(target=page_context.warm_up, name="warm up", daemon=True)
    warm.start()
    yield {}
    warm.join(30)
    page_context.shut_down()


def to_first_page(request: Request) -> RedirectResponse:
    """Lead from the first page's name to its address: Streamlit knows it only as the root."""
    return RedirectResponse(f"./?{request.url.query}" if request.url.query else "./")


app = st.App(
    locations.dashboard() / "pages" / "frame.py",
    lifespan=lifespan,
    routes=[Route("/overview", to_first_page)],
    middleware=[Middleware(SafeHeaders)],
)
