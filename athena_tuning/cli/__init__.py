"""The command line: what the pages do, for a terminal and for scripts.

Every command that prints has ``--json``. Exit codes: 0 done, 1 done in part or failed with a reason, 2 wrong
arguments, 3 not done because a person has to confirm first (``import``).
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, ClassVar

import click

from athena_tuning.cli.output import errors_in_words


class _LazyGroup(click.Group):
    """Imports a command's module when it is asked for, so that ``--help`` answers at once.

    What the file of settings says of a command is its default.
    """

    modules: ClassVar[dict[str, tuple[str, str]]] = {
        "alerts": (
            "alerts",
            "List the alerts of the last thirty days, those that hold ahead; --watch looks for new ones.",
        ),
        "cluster": ("cluster", "Start managers that answer as one, see how they are, scale and drain them."),
        "config": ("config", "See, change and roll back the config that managers run."),
        "dashboard": (
            "dashboard",
            "Serve the dashboard, with a manager of its own unless --attach is given.",
        ),
        "decision": (
            "decision",
            "Show the tuner's decisions, and make one again from the evidence that was kept with it.",
        ),
        "doctor": (
            "doctor",
            "Examine Python, SQLite, the store, files and their rights, processes and disks; change nothing.",
        ),
        "experiment": (
            "experiment",
            "Try a config in turns with the one in force, on live recalls; show how that stands; end it.",
        ),
        "forward": (
            "forward",
            "Simulate a load on the config in force, in seconds, and put it into the store.",
        ),
        "import": (
            "import_file",
            "Bring the queries of FILE into the store: traces, results of load tests, logs, tables.",
        ),
        "incidents": (
            "alerts",
            "List the incidents of the last thirty days, or show INCIDENT, by its id: "
            "what happened, in order.",
        ),
        "ingest": ("recall", "Load items of the memory layers from FILE (.jsonl or .jsonl.gz)."),
        "ingest-git": (
            "ingest_git",
            "Make a memory of the git repository at PATH (default: here), or bring it up to date.",
        ),
        "layers": ("show_layers", "Show the health of every layer of the managers that are alive."),
        "load": ("load", "Make load on a manager; list, show and compare what came out."),
        "manager": (
            "manager",
            "Run a manager that shares its metrics and obeys the store's configs, until Ctrl+C.",
        ),
        "mcp": ("agents", "Serve a memory to agents over the Model Context Protocol, on stdio or HTTP."),
        "metrics": ("metrics", "Take the records of recalls out of the store."),
        "objectives": (
            "objectives",
            "Show what is promised of live recalls, and how many times too fast each budget burns.",
        ),
        "propose": (
            "propose",
            "Show what the tuner would set under the strategy in force and under each other one.",
        ),
        "quality": (
            "quality",
            "Measure recall@k, MRR and layers a question: under the configs in force, and for each --layers.",
        ),
        "recall": ("recall", "Ask the memory for TEXT and show the results and where the time went."),
        "report": (
            "report",
            "Write a report of RUN, or of RUN2 compared with RUN.",
        ),
        "serve": (
            "serve",
            "Serve a manager over HTTP, until Ctrl+C: recalls, memory, configs, status, metrics.",
        ),
        "settings": ("show_settings", "Show each setting, its value, and where that is from."),
        "sources": (
            "sources",
            "List load runs, samples, imported files and simulated days in the store, newest first.",
        ),
        "status": (
            "status",
            "Show whether all is well, why not, and what is to be done; "
            "then strategy, managers, latency and events.",
        ),
        "store": ("store", "Take care of a store."),
        "what-if": (
            "what_if",
            "Simulate recorded recalls under other configs; nothing is asked of any manager.",
        ),
        "workers": ("status", "List the managers that share the store, last seen first."),
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.modules:
            return None
        module = importlib.import_module(f"athena_tuning.cli.{self.modules[cmd_name][0]}")
        commands = (value for value in vars(module).values() if isinstance(value, click.Command))
        return next(command for command in commands if command.name == cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.modules[name][1]) for name in self.list_commands(ctx)])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name and command:
            ctx.default_map = {name: _file_defaults(name, command)}
        return name, command, rest

    def invoke(self, ctx: click.Context) -> object:
        with errors_in_words():
            return super().invoke(ctx)


def _file_defaults(name: str, command: click.Command) -> dict[str, Any]:
    """Return what the file of settings says of a command, by its parameters' names."""
    from athena_tuning import settings

    file = settings.settings_file()
    return _by_parameter(f"{file.path}: [{name}]", command, file.commands.get(name, {}))


def _by_parameter(where: str, command: click.Command, table: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(table, Mapping):
        raise ValueError(f"{where} is to be a table")
    known = command.commands if isinstance(command, click.Group) else {}
    options = {
        option.lstrip("-"): parameter.name
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
        if option.startswith("--")
    }
    defaults: dict[str, Any] = {}
    for key, value in table.items():
        if key in known:
            defaults[key] = _by_parameter(f"{where}, {key}", known[key], value)
        elif name := options.get(key.replace("_", "-")):
            defaults[name] = value
        else:
            there_are = ", ".join(sorted({*known, *options} - {"help"}))
            raise ValueError(f"{where} has no option {key!r}; there are {there_are}")
    return defaults


@click.command(
    cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="athena-tuning")
def main() -> None:
    """Measure, tune and watch the recalls of a layered agent memory."""
