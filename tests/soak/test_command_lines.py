"""Every option and argument of every command that ends by itself, with values that nobody means well."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from athena_tuning.cli import main

pytestmark = pytest.mark.soak

SERVE = {"dashboard", "manager", "load", "forward", "mcp", "serve"}
HOSTILE = (
    "",
    " ",
    "-1",
    "nan",
    "1e400",
    "9" * 400,
    "%s%n{0}",
    "../not/there",
    "/proc/self/mem",
    "/dev/null",
    "'; DROP TABLE recalls; --",
    "[red]x[/]",
    "half \udc80 a character",
    "x" * 20_000,
    "sqlite:////proc/none/s.db",
    "mysql://user:hunter2@host/db",
    "postgresql://user:hunter2@127.0.0.1:1/db",
    '{"max_concurrent": [',
)


def commands(
    group: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Give all commands with their names."""
    if not isinstance(group, click.Group):
        yield path, group
        return
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None and name not in SERVE:
            yield from commands(command, (*path, name))


def lines(rng: random.Random) -> Iterator[list[str]]:
    """Give command lines: each parameter once with each value, what else is demanded at random."""
    for path, command in commands(main):
        arguments = [p for p in command.params if isinstance(p, click.Argument)]
        options = [p for p in command.params if isinstance(p, click.Option) and not p.is_flag]
        for value in HOSTILE:
            yield [*path, "--", *(value for _ in arguments)] if arguments else [*path, value]
            for option in options:
                others = [rng.choice(HOSTILE) for argument in arguments if argument.required]
                yield [*path, option.opts[0], value, "--", *others]


def test_two_hundred_hostile_command_lines_end_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATHENA_TUNING_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    rng = random.Random(3)
    for line in rng.sample(list(lines(rng)), 200):
        done = CliRunner().invoke(main, line)
        assert done.exception is None or isinstance(done.exception, SystemExit), (line, done.exc_info)
        assert "Traceback" not in done.output, line
        if "--store" in line and "hunter2" in line[line.index("--store") + 1]:
            assert done.exit_code != 0
            assert "hunter2" not in done.output, line
