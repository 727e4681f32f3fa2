"""What every request passes first: known hosts, safe headers, a quota for uploads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from athena_tuning.ui.frame.middleware import (
    ALL_UPLOADS,
    MEGABYTE,
    SESSION_UPLOADS,
    KnownHosts,
    SafeHeaders,
    UploadQuota,
)

UPLOAD = "/_stcore/upload_file/mine/1"


async def body(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


def behind(*middleware: Middleware) -> Starlette:
    routes = [
        Route("/_stcore/upload_file/{session}/{file}", body, methods=["PUT", "DELETE"]),
        Route("/", body),
        WebSocketRoute("/ws", socket),
    ]
    return Starlette(routes=routes, middleware=list(middleware))


def request(app: Starlette, method: str, path: str, **more: Any) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8501") as client:
            return await client.request(method, path, **more)

    return asyncio.run(send())


def first_answer_to_a_websocket(app: Starlette, host: str) -> dict[str, Any]:
    answers: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        answers.append(message)

    scope = {"type": "websocket", "path": "/ws", "headers": [(b"host", host.encode())], "subprotocols": []}
    asyncio.run(app(scope, receive, send))
    return answers[0]


def test_a_page_of_another_name_is_refused_in_words_that_name_the_setting() -> None:
    answer = request(behind(Middleware(KnownHosts)), "GET", "/", headers={"Host": "evil.example"})
    assert answer.status_code == 421
    assert "'evil.example'" in answer.text
    assert "ATHENA_TUNING_HOSTS" in answer.text


def test_a_websocket_of_another_name_is_closed_before_it_opens() -> None:
    answer = first_answer_to_a_websocket(behind(Middleware(KnownHosts)), "evil.example")
    assert (answer["type"], answer["code"]) == ("websocket.close", 1008)


def test_known_hosts_pass_over_both_protocols() -> None:
    known = behind(Middleware(KnownHosts))
    assert request(known, "GET", "/").status_code == 200
    assert first_answer_to_a_websocket(known, "127.0.0.1:8501")["type"] == "websocket.accept"


def test_every_answer_has_the_headers_that_keep_a_page_at_home() -> None:
    answer = request(behind(Middleware(SafeHeaders)), "GET", "/")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("held", "status"),
    [
        ({}, 200),
        ({"mine": SESSION_UPLOADS - MEGABYTE}, 200),
        ({"mine": SESSION_UPLOADS}, 413),
        ({"other": SESSION_UPLOADS}, 200),
        ({str(n): SESSION_UPLOADS for n in range(ALL_UPLOADS // SESSION_UPLOADS)}, 413),
    ],
)
def test_uploads_are_bounded_by_session_and_in_all(held: dict[str, int], status: int) -> None:
    quota = behind(Middleware(UploadQuota, held=lambda: held))
    assert request(quota, "PUT", UPLOAD, content=b"x" * 1000).status_code == status


async def chunks() -> AsyncIterator[bytes]:
    yield b"x"


def test_an_upload_of_unknown_length_counts_as_the_largest_that_may_be() -> None:
    held = {"mine": SESSION_UPLOADS - MEGABYTE}
    quota = behind(Middleware(UploadQuota, held=lambda: held))
    assert request(quota, "PUT", UPLOAD, content=chunks()).status_code == 413


def test_room_is_made_when_an_upload_has_ended_and_files_may_always_be_removed() -> None:
    held = {"mine": SESSION_UPLOADS - 2000}
    quota = behind(Middleware(UploadQuota, held=lambda: held))
    for _ in range(5):
        assert request(quota, "PUT", UPLOAD, content=b"x" * 1500).status_code == 200
    held["mine"] = SESSION_UPLOADS
    assert request(quota, "DELETE", UPLOAD).status_code == 200
