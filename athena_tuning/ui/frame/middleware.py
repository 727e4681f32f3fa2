"""What every request passes before Streamlit sees it: its host, what it uploads, and the answer's headers."""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config, runtime
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager

from athena_tuning.service.access import HOSTS_SETTING, host_name, is_known_host

MEGABYTE = 1 << 20
SESSION_UPLOADS = 60 * MEGABYTE
ALL_UPLOADS = 300 * MEGABYTE

_POLICY = "; ".join(
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
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
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
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class KnownHosts:
    """Answers to the names that the app is known by, and to no other: against DNS rebinding."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it with the way out."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        host = Headers(scope=scope).get("host")
        if is_known_host(host):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            name = host_name(host)
            why = f"This app does not answer to the name {name!r}. {HOSTS_SETTING} lists further names."
            await PlainTextResponse(why, 421)(scope, receive, send)


class UploadQuota:
    """Bounds what uploads may hold in memory: for each session, and for all together.

    What counts is what Streamlit really holds, so a file that is removed, or a session that has ended, makes
    room again.

    Args:
        app: takes what passes.
        held: bytes that each session holds now.
    """

    def __init__(self, app: ASGIApp, held: Callable[[], dict[str, int]] | None = None) -> None:
        self.app = app
        self._held = held or uploaded_bytes
        self._arriving: dict[str, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse an upload that is too much."""
        path = scope.get("path", "")
        if scope["type"] != "http" or scope["method"] != "PUT" or "/_stcore/upload_file/" not in path:
            await self.app(scope, receive, send)
            return
        session = path.split("/_stcore/upload_file/")[1].split("/")[0]
        size = _declared(Headers(scope=scope).get("content-length"))
        held = self._held()
        own = held.get(session, 0) + self._arriving.get(session, 0)
        everything = sum(held.values()) + sum(self._arriving.values())
        if own + size > SESSION_UPLOADS or everything + size > ALL_UPLOADS:
            await PlainTextResponse("Too much is uploaded already: remove a file first.", 413)(
                scope, receive, send
            )
            return
        self._arriving[session] = self._arriving.get(session, 0) + size
        try:
            await self.app(scope, receive, send)
        finally:
            self._arriving[session] -= size
            if not self._arriving[session]:
                del self._arriving[session]


def uploaded_bytes() -> dict[str, int]:
    """Return the bytes of uploads that Streamlit holds, by session."""
    manager = runtime.get_instance().uploaded_file_mgr if runtime.exists() else None
    if not isinstance(manager, MemoryUploadedFileManager):
        return {}
    return {
        session: sum(len(file.data) for file in list(files.values()))
        for session, files in list(manager.file_storage.items())
    }


def _declared(length: str | None) -> int:
    """Return an upload's size in bytes; where it is not said, the most that Streamlit lets through."""
    most: int = config.get_option("server.maxUploadSize") * MEGABYTE
    return min(int(length), most) if length and length.isdigit() else most
