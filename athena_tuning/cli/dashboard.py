"""``athena-tuning dashboard``: the app, from a wheel or a checkout, from any folder."""

from __future__ import annotations

import click

from athena_tuning import locations
from athena_tuning.cli.output import memory_option, store_option
from athena_tuning.cli.server_process import require, run


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8501, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on."
)
@memory_option
@store_option
@click.option("--attach", is_flag=True, help="Show the managers that share the store instead of running one.")
@click.option("--demo/--no-demo", default=True, help="Keep a gentle load on the sample memory (default: on).")
def dashboard(host: str, port: int, memory: str | None, store: str | None, attach: bool, demo: bool) -> None:
    """Serve the dashboard, with a manager of its own unless --attach is given."""
    require("dashboard", "The dashboard", ("pandas", "plotly", "streamlit"))
    folder = locations.dashboard()
    app = folder / "app.py"
    if not app.is_file():
        raise click.ClickException(f"{app} is missing: install the package again")
    click.echo(f"athena_tuning on http://{host}:{port}  (Ctrl+C stops it)")
    server = ["--server.address", host, "--server.port", str(port), "--server.headless", "true"]
    run(
        ["-m", "streamlit", "run", str(app), *server],
        memory,
        store,
        ATHENA_TUNING_ATTACH="1" if attach else None,
        ATHENA_TUNING_DEMO=None if demo else "0",
    )
