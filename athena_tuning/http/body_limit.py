"""Bounds what a request may bring."""

from __future__ import annotations

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """Refuses bodies above a size, also those that do not say how long they are.

    Args:
        app: takes what passes.
        most_bytes: of one body.
    """

    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        self.app = app
        self.most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 413."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = f"a body has at most {self.most_bytes:,} bytes: send it in parts"
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdigit() and int(declared) > self.most_bytes:
            await JSONResponse({"detail": refusal}, 413)(scope, receive, send)
            return
        came = 0

        async def counted() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            if came > self.most_bytes:
                raise HTTPException(413, refusal)
            return message

        await self.app(scope, counted, send)
