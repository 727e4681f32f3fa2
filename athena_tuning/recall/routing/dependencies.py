"""Which layers have to be asked before others: each sees what those it depends on have found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter


class DependencyGraph:
    """The order in which layers are asked. A value: another one is made when a layer is registered.

    Args:
        after: by layer, those that it is asked after. Names that no layer has are no hindrance.

    Raises:
        ValueError: if layers depend on each other in a circle; the message names it.

    Examples:
        >>> graph = DependencyGraph({"facts": (), "graph": ("facts",), "plans": ()})
        >>> graph.waves(("graph", "facts", "plans")), graph.waves(("graph", "plans"))
        ([('facts', 'plans'), ('graph',)], [('graph', 'plans')])
    """

    def __init__(self, after: Mapping[str, Iterable[str]]) -> None:
        self._after = {layer: frozenset(others) for layer, others in after.items() if others}
        try:
            TopologicalSorter(self._after).prepare()
        except CycleError as exc:
            raise ValueError(f"layers wait for each other: {' after '.join(reversed(exc.args[1]))}") from exc

    def waves(self, layers: tuple[str, ...]) -> list[tuple[str, ...]]:
        """Return layers in waves: each only depends on those of waves before its own.

        Args:
            layers: those that are asked, at least one; a layer does not wait for one that is not.
        """
        if not self._after:
            return [layers]
        sorter = TopologicalSorter(
            {layer: self._after.get(layer, frozenset()) & {*layers} for layer in layers}
        )
        sorter.prepare()
        waves = []
        while sorter.is_active():
            ready = set(sorter.get_ready())
            waves.append(tuple(layer for layer in layers if layer in ready))
            sorter.done(*ready)
        return waves
