"""``athena-tuning serve``: a manager over HTTP."""

from __future__ import annotations

from typing import Any

import click

from athena_tuning.cli.server_process import become, manager_options


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8600, show_default=True, type=click.IntRange(0, 65535), help="Port; 0: a free one."
)
@manager_options
def serve(host: str, port: int, **answering: Any) -> None:
    """Serve a manager over HTTP, until Ctrl+C: recalls, memory, configs, status, metrics.

    /v1/openapi.json describes it all. Whoever is on this machine may write; from elsewhere a client needs
    the token, as "Authorization: Bearer …". Where the memory file is missing, an empty one is made. With --on
    a cluster answers; configs and status are those of the store, which is to be the cluster's.
    """
    packages = ("fastapi", "prometheus_client", "uvicorn")
    become("athena_tuning.http", ["--host", host, "--port", str(port)], packages=packages, **answering)
