"""The vocabulary of one window: texts, types, shapes and errors as numbers, kept once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from athena_tuning.model.source import is_among
from athena_tuning.profiling.columns import name_bound
from athena_tuning.profiling.columns.dictionary import Dictionary
from athena_tuning.profiling.columns.name_bound import NameBound


class Shape(NamedTuple):
    """Which layers a recall asked, which of them gave a latency, which have a task; each in its own order."""

    layers: tuple[str, ...]
    timed: tuple[str, ...]
    tasks: tuple[str, ...]


class Names:
    """The dictionaries of one window.

    Args:
        most_names: query types, and layers, that are told apart; None: as many as is set.
    """

    def __init__(self, most_names: int | None = None) -> None:
        self.bound = NameBound(most_names or name_bound.most_names())
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
        self._places: dict[str, dict[str, list[int]]] = {}
        self._tables_of = -1
        self._among: dict[frozenset[str], npt.NDArray[np.bool_]] = {}
        self._among_of = -1

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

    def among(self, sources: frozenset[str]) -> npt.NDArray[np.bool_]:
        """Return by source number whether it is one of some kinds or batches."""
        if self._among_of != self.sources.edition:
            self._among.clear()
            self._among_of = self.sources.edition
        table = self._among.get(sources)
        if table is None:
            table = self._among[sources] = np.zeros(max(len(self.sources), 1), np.bool_)
            for number, source in self.sources.items():
                table[number] = is_among(source, sources)
        return table

    def _table(self, part: str, layer: str) -> npt.NDArray[np.bool_]:
        if self._tables_of != self.shapes.edition:
            self._tables.clear()
            self._places.clear()
            self._tables_of = self.shapes.edition
        table = self._tables.get((part, layer))
        if table is None:
            table = self._tables[part, layer] = np.zeros(len(self.shapes), np.bool_)
            table[self._places_of(part).get(layer, [])] = True
        return table

    def _places_of(self, part: str) -> dict[str, list[int]]:
        """Return by layer the numbers of the shapes that have it in a part."""
        places = self._places.get(part)
        if places is None:
            places = self._places[part] = {}
            for number, shape in self.shapes.items():
                for layer in getattr(shape, part):
                    places.setdefault(layer, []).append(number)
        return places
