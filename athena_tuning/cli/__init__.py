"""The command line: what the pages do, for a terminal and for scripts.

Every command that prints has ``--json``. Exit codes: 0 done, 1 done in part or failed with a reason, 2 wrong
arguments, 3 not done because a person has to confirm first (``import``).
"""

from __future__ import annotations

import importlib
from typing import ClassVar

import click

from athena_tuning.cli.output import told


class _LazyGroup(click.Group):
    """Imports a command's module when it is asked for, so that ``--help`` answers at once."""

    modules: ClassVar[dict[str, str]] = {
        "config": "config",
        "dashboard": "dashboard",
        "forward": "forward",
        "import": "import_file",
        "ingest": "recall",
        "ingest-git": "ingest_git",
        "layers": "layers",
        "load": "load",
        "manager": "manager",
        "metrics": "metrics",
        "recall": "recall",
        "report": "report",
        "status": "status",
        "what-if": "what_if",
        "workers": "status",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.modules:
            return None
        module = importlib.import_module(f"athena_tuning.cli.{self.modules[cmd_name]}")
        commands = (value for value in vars(module).values() if isinstance(value, click.Command))
        return next(command for command in commands if command.name == cmd_name)

    def invoke(self, ctx: click.Context) -> object:
        with told():
            return super().invoke(ctx)


@click.command(
    cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="athena-tuning")
def main() -> None:
    """Measure, tune and watch the recalls of a layered agent memory."""
