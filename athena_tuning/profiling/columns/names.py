"""The vocabulary of one window: texts, types, shapes and errors as numbers, kept once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from athena_tuning.profiling.columns.dictionary import Dictionary


class Shape(NamedTuple):
    """Which layers a recall asked, which of them gave a latency, which have a task; each in its own order."""

    layers: tuple[str, ...]
    timed: tuple[str, ...]
    tasks: tuple[str, ...]


class Names:
    """The dictionaries of one window."""

    def __init__(self) -> None:
        self.texts = Dictionary[str]()
        self.types = Dictionary[str]()
        self.shapes = Dictionary[Shape]()
        self.errors = Dictionary[str | None]()
        self.sources = Dictionary[str]()
        self.by_column: dict[str, Dictionary[Any]] = {
            "text": self.texts,
            "type": self.types,
            "shape": self.shapes,
            "error": self.errors,
            "source": self.sources,
        }
        self._tables: dict[tuple[str, str], npt.NDArray[np.bool_]] = {}
        self._tables_of = -1

    def layers(self) -> list[str]:
        """Return all layers that a record in the window lists, sorted."""
        return sorted({layer for shape in self.shapes.used() for layer in shape.layers})

    def asked(self, layer: str) -> npt.NDArray[np.bool_]:
        """Return by shape number whether the layer was asked."""
        return self._table("layers", layer)

    def timed(self, layer: str) -> npt.NDArray[np.bool_]:
        """Return by shape number whether the layer gave a latency."""
        return self._table("timed", layer)

    def measured(self, layer: str) -> npt.NDArray[np.bool_]:
        """Return by shape number whether the layer's task was measured."""
        return self._table("tasks", layer)

    def _table(self, part: str, layer: str) -> npt.NDArray[np.bool_]:
        if self._tables_of != self.shapes.edition:
            self._tables.clear()
            self._tables_of = self.shapes.edition
        table = self._tables.get((part, layer))
        if table is None:
            table = self._tables[part, layer] = np.zeros(len(self.shapes), np.bool_)
            for number, shape in self.shapes.items():
                table[number] = layer in getattr(shape, part)
        return table
