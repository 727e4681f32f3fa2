"""Requests of ASGI applications are queries, and what is measured inside of them are their layers."""

from __future__ import annotations

import asyncio

import pytest
from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from athena_tuning import ContextPool, PerformanceProfiler
from athena_tuning.integrations.asgi import QueryMiddleware, layer


@pytest.fixture
def profiler():
    return PerformanceProfiler()


@pytest.fixture
def client(profiler):
    app = FastAPI()
    app.add_middleware(QueryMiddleware, profiler=profiler, paths=["/search", "/broken", "/gone"])
    measured = profiler.measure.layer

    @measured("semantic")
    def semantic(text):
        return [text, text]

    @measured("graph")
    async def graph(text):
        return [text]

    @app.get("/search/{place}")
    def search(place: str, q: str):
        with layer("words") as share:
            share.result_count = 4
        with ContextPool(2) as pool:
            return pool.submit(semantic, q).result()

    @app.get("/searched")
    async def searched(q: str):
        return await asyncio.gather(graph(q), graph(q))

    @app.get("/broken")
    def broken():
        raise HTTPException(503)

    @app.get("/gone")
    def gone():
        raise OSError("disk")

    @app.get("/healthz")
    def healthz():
        with layer("outside") as share:
            share.result_count = 1
        return "ok"

    return TestClient(app, raise_server_exceptions=False)


def test_a_request_is_a_query_with_its_layers(client, profiler):
    assert client.get("/search/shelf", params={"q": "tea?"}).json() == ["tea?", "tea?"]
    [m] = profiler.metrics
    assert (m.query_text, m.query_type, m.success, m.result_count) == ("tea?", "/search/{place}", True, 6)
    assert [(task.layer, task.result_count) for task in m.tasks] == [("words", 4), ("semantic", 2)]


def test_layers_that_are_awaited_are_counted_by_what_they_return(client, profiler):
    assert client.get("/searched", params={"q": "tea?"}).json() == [["tea?"], ["tea?"]]
    assert [(task.layer, task.result_count) for task in profiler.metrics[0].tasks] == [("graph", 2)]


def test_a_status_of_500_or_more_and_an_exception_are_failures(client, profiler):
    assert client.get("/broken").status_code == 503
    assert client.get("/gone").status_code == 500
    first, second = profiler.metrics
    assert (first.success, first.error, first.query_type) == (False, "status 503", "/broken")
    assert (second.success, second.query_text) == (False, "/gone")
    assert "disk" in second.error


def test_other_paths_are_passed_on_and_their_layers_belong_to_nothing(client, profiler):
    assert client.get("/healthz").json() == "ok"
    assert len(profiler.metrics) == 0


def test_requests_at_once_keep_their_layers_apart(profiler):
    async def answer(request):
        name = request.query_params["q"]
        with layer(name):
            await asyncio.sleep(0)
        return PlainTextResponse(name)

    async def stream(request):
        async def parts():
            with layer("late") as share:
                share.result_count = 3
                yield b"tea"

        return StreamingResponse(parts())

    app = QueryMiddleware(Starlette(routes=[Route("/a", answer), Route("/s", stream)]), profiler)

    async def ask(name):
        async def nothing():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def sent(message):
            await asyncio.sleep(0)

        scope = {"type": "http", "method": "GET", "path": "/a", "headers": [], "path_params": {}}
        await app({**scope, "query_string": f"q={name}".encode()}, nothing, sent)

    async def ask_all():
        await asyncio.gather(*(ask(f"q{n}") for n in range(20)))

    asyncio.run(ask_all())
    assert {(m.query_text, *m.layers_queried) for m in profiler.metrics} == {
        (f"q{n}",) * 2 for n in range(20)
    }
    assert TestClient(app).get("/s").text == "tea"
    assert profiler.metrics[-1].layers_queried == ["late"]
