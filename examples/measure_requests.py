"""Measures the requests of an ASGI application: one line of middleware, one `with` for each layer."""

import asyncio
from typing import Any

from athena_tuning import ContextPool, PerformanceProfiler
from athena_tuning.integrations.asgi import QueryMiddleware, layer

FACTS = ["Ana owns billing.", "Bo owns search."]
STEPS = ["Run make billing.", "Run make restore."]

profiler = PerformanceProfiler()
pool = ContextPool(2)


def find(name: str, texts: list[str], word: str) -> list[str]:
    with layer(name) as share:
        found = [text for text in texts if word in text]
        share.result_count = len(found)
    return found


async def app(scope: Any, _receive: Any, send: Any) -> None:
    """Stands for FastAPI, Starlette or any other: `add_middleware(QueryMiddleware, profiler=profiler)`."""
    word = scope["query_string"].decode().partition("=")[2]
    asked = [pool.submit(find, name, texts, word) for name, texts in (("facts", FACTS), ("steps", STEPS))]
    body = "\n".join(text for future in asked for text in future.result())
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body.encode()})


async def ask(word: str) -> None:
    async def sent(message: Any) -> None:
        print(message.get("body", b"").decode(), end="")

    async def received() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "path": "/search", "query_string": f"q={word}".encode()}
    await QueryMiddleware(app, profiler)(scope, received, sent)


if __name__ == "__main__":
    with pool:
        asyncio.run(ask("billing"))
    m = profiler.metrics[-1]
    print(f"\n{m.query_text}: {', '.join(sorted(m.layers_queried))}, {m.result_count} results")
