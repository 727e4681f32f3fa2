"""Serves a memory: ``python -m athena_tuning.mcp``, which ``athena-tuning mcp`` starts."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from athena_tuning import locations
from athena_tuning.mcp.server import http_app, make_server
from athena_tuning.recall import MemoryManager
from athena_tuning.recall.contract import Remembering
from athena_tuning.service.access import OperatorToken
from athena_tuning.store import open_store


def main() -> None:
    """Serve the memory that the settings name: on stdio, or with --port on HTTP, until the client leaves."""
    arguments = argparse.ArgumentParser(prog="athena-tuning mcp")
    arguments.add_argument("--host", default="127.0.0.1")
    arguments.add_argument("--port", type=int)
    arguments.add_argument("--layer", action="append", default=[])
    arguments.add_argument("--on")
    given = arguments.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    if given.on:
        from athena_tuning.cluster import RecallCluster

        with RecallCluster(given.on) as cluster:
            _serve(cluster, given.host, given.port)
        return
    path = Path(locations.default_memory())
    with (
        open_store(locations.default_store_url()) as store,
        MemoryManager(path, store=store, worker_id=f"mcp-{os.uname().nodename}-{os.getpid()}") as manager,
    ):
        for layer in given.layer:
            try:
                manager.register_layer(layer)
            except ValueError as error:
                arguments.error(f"--layer: {error}")
        _serve(manager, given.host, given.port)


def _serve(manager: Remembering, host: str, port: int | None) -> None:
    if port is None:
        make_server(manager).run("stdio")
    else:
        _serve_http(manager, host, port)


def _serve_http(manager: Remembering, host: str, port: int) -> None:
    import uvicorn

    token = OperatorToken()
    config = uvicorn.Config(http_app(make_server(manager), token), host, port, log_level="warning")
    listening = config.bind_socket()
    listening.listen()  # whoever is told the address may come before uvicorn is ready
    print(f"token: {token.secret}", flush=True)  # noqa: T201 (for whoever started it)
    print(f"MCP on http://{host}:{listening.getsockname()[1]}/mcp  (Ctrl+C stops it)", flush=True)  # noqa: T201
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
