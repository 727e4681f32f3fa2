"""``athena-tuning dashboard``: the app, from a wheel or a checkout, from any folder."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec

import click

from athena_tuning import locations
from athena_tuning.cli.output import memory_option, store_option
from athena_tuning.extras import needs_extra


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
    with needs_extra("dashboard", "The dashboard"):
        for package in ("pandas", "plotly", "streamlit"):
            if find_spec(package) is None:
                raise ImportError(f"No module named {package!r}")
    folder = locations.dashboard()
    app = folder / "app.py"
    if not app.is_file():
        raise click.ClickException(f"{app} is missing: install the package again")
    settings = {
        "ATHENA_TUNING_STORE": store,
        "ATHENA_TUNING_MEMORY": os.path.abspath(memory) if memory else None,
        "ATHENA_TUNING_ATTACH": "1" if attach else None,
        "ATHENA_TUNING_DEMO": None if demo else "0",
    }
    environment = {**os.environ, **{name: value for name, value in settings.items() if value}}
    command = [sys.executable, "-m", "streamlit", "run", str(app)]
    command += ["--server.address", host, "--server.port", str(port), "--server.headless", "true"]
    click.echo(f"athena_tuning on http://{host}:{port}  (Ctrl+C stops it)")
    os.execve(sys.executable, command, environment)
