"""Starts a server of another face: by its module's path, in place of this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, NoReturn, TypeVar

import click

from athena_tuning.cli.output import layer_option, memory_option, on_option, store_option
from athena_tuning.extras import needs_extra

Command = TypeVar("Command", bound=Callable[..., Any])


def manager_options(command: Command) -> Command:
    """Give a command the options that say who answers: arguments of ``become``."""
    for option in (layer_option, on_option, store_option, memory_option):
        command = option(command)
    return command


def become(
    module: str,
    arguments: Sequence[str],
    *,
    packages: Sequence[str],
    memory: str | None,
    store: str | None,
    cluster: str | None,
    layers: Sequence[str],
) -> NoReturn:
    """Run ``python -m MODULE`` in place of this process, with the memory and store that were named.

    Args:
        module: what to run; its name ends with the extra that has to be installed for it.
        arguments: for it.
        packages: what that extra brings.
        memory: file; None: what the settings say.
        store: URL; None: what the settings say.
        cluster: URL of one that answers in place of a manager.
        layers: of installed packages, to be asked too.

    Raises:
        MissingExtra: if a package is not installed.
        click.UsageError: if a memory or a layer is named beside a cluster.
        ValueError: if the cluster's URL is none.
    """
    words = [*arguments, *(word for layer in layers for word in ("--layer", layer))]
    if cluster is not None:
        from athena_tuning.cluster import Address

        if memory or layers:
            raise click.UsageError("--on: the cluster's managers have memory and layers of their own")
        Address.parse(cluster)
        words += ["--on", cluster]
    require(module.rpartition(".")[2], f"What {module} serves", packages)
    run(["-m", module, *words], memory, store)


def require(extra: str, what: str, packages: Sequence[str]) -> None:
    """Check that the packages of an extra are there, without importing them.

    Raises:
        MissingExtra: if one is not installed.
    """
    with needs_extra(extra, what):
        for package in packages:
            if find_spec(package) is None:
                raise ImportError(f"No module named {package!r}")


def run(arguments: Sequence[str], memory: str | None, store: str | None, **settings: str | None) -> NoReturn:
    """Run Python with these arguments in place of this process, under the settings that are named."""
    named = {
        "ATHENA_TUNING_STORE": store,
        "ATHENA_TUNING_MEMORY": os.path.abspath(memory) if memory else None,
        **settings,
    }
    environment = {**os.environ, **{name: value for name, value in named.items() if value}}
    os.execve(sys.executable, [sys.executable, *arguments], environment)
