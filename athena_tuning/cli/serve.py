"""``athena-tuning serve``: a manager over HTTP."""

from __future__ import annotations

import click

from athena_tuning.cli.output import memory_option, on_option, store_option
from athena_tuning.cli.server_process import become, without_own_manager


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8600, show_default=True, type=click.IntRange(0, 65535), help="Port; 0: a free one."
)
@memory_option
@store_option
@on_option
@click.option(
    "--layer", "layers", multiple=True, metavar="NAME", help="Ask a layer of an installed package too."
)
def serve(
    host: str,
    port: int,
    memory: str | None,
    store: str | None,
    cluster: str | None,
    layers: tuple[str, ...],
) -> None:
    """Serve a manager over HTTP, until Ctrl+C: recalls, memory, configs, status, metrics.

    /v1/openapi.json describes it all. Whoever is on this machine may write; from elsewhere a client needs
    the token, as "Authorization: Bearer …". Where the memory file is missing, an empty one is made. With --on
    a cluster answers; configs and status are those of the store, which is to be the cluster's.
    """
    without_own_manager(cluster, memory, layers)
    arguments = ["--host", host, "--port", str(port)]
    arguments += [word for layer in layers for word in ("--layer", layer)]
    arguments += ["--on", cluster] if cluster else []
    packages = ("fastapi", "prometheus_client", "uvicorn")
    become("athena_tuning.http", arguments, extra="http", packages=packages, memory=memory, store=store)
