"""``athena-tuning mcp``: a memory for agents."""

from __future__ import annotations

from typing import Any

import click

from athena_tuning.cli.server_process import become, manager_options


@click.command()
@click.option("--http", is_flag=True, help="Serve streamable HTTP with a token, in place of stdio.")
@click.option("--host", default="127.0.0.1", show_default=True, help="With --http: address to listen on.")
@click.option(
    "--port",
    default=8700,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="With --http: port; 0: a free one.",
)
@manager_options
def mcp(http: bool, host: str, port: int, **answering: Any) -> None:
    """Serve a memory to agents over the Model Context Protocol, on stdio or HTTP.

    An agent starts it itself: its configuration names the command "athena-tuning" with the argument "mcp".
    Several agents may share a memory and a store. Where the memory file is missing, an empty one is made.
    With --on a cluster of managers answers.
    """
    arguments = ["--host", host, "--port", str(port)] if http else []
    become("athena_tuning.mcp", arguments, packages=("mcp",), **answering)
