"""``athena-tuning serve``: a manager over HTTP."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec

import click

from athena_tuning.cli.output import memory_option, store_option
from athena_tuning.extras import needs_extra


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8600, show_default=True, type=click.IntRange(0, 65535), help="Port; 0: a free one."
)
@memory_option
@store_option
@click.option(
    "--layer", "layers", multiple=True, metavar="NAME", help="Ask a layer of an installed package too."
)
def serve(host: str, port: int, memory: str | None, store: str | None, layers: tuple[str, ...]) -> None:
    """Serve a manager over HTTP, until Ctrl+C: recalls, memory, configs, status, metrics.

    /v1/openapi.json describes it all. Whoever is on this machine may write; from elsewhere a client needs
    the token, as "Authorization: Bearer …".
    """
    with needs_extra("http", "The HTTP server"):
        for package in ("fastapi", "prometheus_client", "uvicorn"):
            if find_spec(package) is None:
                raise ImportError(f"No module named {package!r}")
    named = {
        "ATHENA_TUNING_STORE": store,
        "ATHENA_TUNING_MEMORY": os.path.abspath(memory) if memory else None,
    }
    environment = {**os.environ, **{name: value for name, value in named.items() if value}}
    command = [sys.executable, "-m", "athena_tuning.http", "--host", host, "--port", str(port)]
    command += [word for layer in layers for word in ("--layer", layer)]
    os.execve(sys.executable, command, environment)
