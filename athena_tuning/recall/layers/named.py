"""Layers of other packages, by the name of their entry point."""

from __future__ import annotations

from typing import cast

from athena_tuning.plugins import LAYERS, plugins
from athena_tuning.recall.layers.base import Layer


def layer_named(name: str) -> Layer:
    """Return a new layer of an installed package.

    Args:
        name: of an entry point in the group ``athena_tuning.layers``.

    Raises:
        ValueError: if there is none of that name, with those that there are and what could not be loaded.
    """
    installed = plugins(LAYERS)
    if name not in installed.by_name:
        known = ", ".join(sorted(installed.by_name)) or "none"
        raise ValueError(
            ". ".join((f"no layer {name!r} is installed; there are {known}", *installed.troubles))
        )
    return cast("Layer", installed.by_name[name]())
