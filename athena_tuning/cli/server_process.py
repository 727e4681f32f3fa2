"""Starts a server of another face: by its module's path, in place of this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import NoReturn

import click

from athena_tuning.extras import needs_extra


def without_own_manager(cluster: str | None, memory: str | None, layers: Sequence[str]) -> None:
    """Check what is said of a manager that a server does not have, because a cluster answers for it.

    Raises:
        click.UsageError: if a memory or a layer is named beside a cluster.
        ValueError: if the cluster's URL is none.
    """
    if cluster is None:
        return
    if memory or layers:
        raise click.UsageError("--on: the cluster's managers have memory and layers of their own")
    from athena_tuning.cluster import Address

    Address.parse(cluster)


def become(
    module: str,
    arguments: Sequence[str],
    *,
    extra: str,
    packages: Sequence[str],
    memory: str | None,
    store: str | None,
) -> NoReturn:
    """Run ``python -m MODULE`` in place of this process, with the memory and store that were named.

    Args:
        module: what to run.
        arguments: for it.
        extra: what has to be installed for it.
        packages: what that brings.
        memory: file; None: what the settings say.
        store: URL; None: what the settings say.

    Raises:
        MissingExtra: if a package is not installed.
    """
    with needs_extra(extra, f"What {module} serves"):
        for package in packages:
            if find_spec(package) is None:
                raise ImportError(f"No module named {package!r}")
    named = {
        "ATHENA_TUNING_STORE": store,
        "ATHENA_TUNING_MEMORY": os.path.abspath(memory) if memory else None,
    }
    environment = {**os.environ, **{name: value for name, value in named.items() if value}}
    os.execve(sys.executable, [sys.executable, "-m", module, *arguments], environment)
