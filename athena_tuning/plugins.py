"""What other packages add, by entry points: layers, stores, policies and file formats."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any

logger = logging.getLogger(__name__)

FORMATS = "athena_tuning.formats"
"""Each entry point is a ``Recogniser``."""

LAYERS = "athena_tuning.layers"
"""Each entry point makes a layer when it is called without arguments; its name is the layer's."""

POLICIES = "athena_tuning.policies"
"""Each entry point makes a ``Policy`` when it is called without arguments; its name is the policy's."""

STORES = "athena_tuning.stores"
"""Each entry point opens a ``Store``; its name is the scheme of the URLs that it understands."""


@dataclass(frozen=True, slots=True)
class Plugins:
    """What is installed of one kind.

    Attributes:
        by_name: what each entry point names.
        troubles: what could not be loaded, and why.
    """

    by_name: Mapping[str, Any]
    troubles: tuple[str, ...] = ()


@cache
def plugins(group: str) -> Plugins:
    """Return what other packages add to a group. What cannot be loaded is left out, logged and told of."""
    by_name: dict[str, Any] = {}
    troubles: list[str] = []
    for point in entry_points(group=group):
        try:
            added = point.load()
        except Exception as exc:  # noqa: BLE001 (whatever another package does, ours works)
            troubles.append(f"{point.name} ({point.value}) could not be loaded: {exc!r:.200}")
            continue
        if point.name in by_name:
            troubles.append(f"{point.name} ({point.value}): the name is taken by another package")
        else:
            by_name[point.name] = added
    for trouble in troubles:
        logger.warning("%s: %s", group, trouble)
    return Plugins(by_name, tuple(troubles))
