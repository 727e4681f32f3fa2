"""How many query types and layers are told apart: what somebody makes a name for each user of is no type.

Charts, roll-ups, monitors and the tuner have a row or a series for each name, so without a bound one caller
that puts an id into a name slows all of them down. The first names are told apart; whatever comes beyond is
counted under one name. No record is lost for it, and no figure of a recall.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from athena_tuning import settings
from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome

OTHER = "(other)"
SETTING = "ATHENA_TUNING_NAMES"
DEFAULT = 1000
COUNTER = "normalised_names"


def most_names(environ: Mapping[str, str] = settings.current) -> int:
    """Return how many query types, and how many layers, are told apart.

    Raises:
        ValueError: if ``ATHENA_TUNING_NAMES`` is no whole number above 0.

    Examples:
        >>> most_names({}), most_names({"ATHENA_TUNING_NAMES": "50"})
        (1000, 50)
    """
    named = environ.get(SETTING, "").strip() or str(DEFAULT)
    if not named.isdecimal() or int(named) < 1:
        raise ValueError(f"{SETTING} is {named!r}: say a whole number above 0")
    return int(named)


class NameBound:
    """Lets so many query types and so many layers in, the first that come.

    Args:
        most: of each.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: tuple[set[str], set[str]] = ({OTHER}, {OTHER})
        self._is_told = False

    def takes(self, types: Iterable[str], layers: Iterable[str]) -> bool:
        """Let names in; False, and none of them is let in, if there is no room for all that are new."""
        new = [set(names) - known for names, known in zip((types, layers), self._known, strict=True)]
        if any(
            more and len(known) + len(more) > self._most + 1
            for more, known in zip(new, self._known, strict=True)
        ):
            return False
        for known, more in zip(self._known, new, strict=True):
            known.update(more)
        return True

    def bounded(self, m: QueryMetrics, counters: Counter[str]) -> QueryMetrics:
        """Return a record with ``OTHER`` for each name that there is no room for; count where it is so.

        Several such layers of one recall become one: their service times and results are added.
        """
        types, layers = self._known
        named = [m.query_type, *m.layers_queried]
        within = [self._let_in(types, m.query_type), *(self._let_in(layers, name) for name in named[1:])]
        if all(within):
            return m
        counters[COUNTER] += 1
        self._tell()
        if not within[0]:
            m = m._replace(query_type=OTHER)
        gone = {name for name, fits in zip(named[1:], within[1:], strict=True) if not fits}
        return _merged(m, gone) if gone else m

    def _let_in(self, known: set[str], name: str) -> bool:
        if name not in known and len(known) <= self._most:
            known.add(name)
        return name in known

    def _tell(self) -> None:
        if not self._is_told:
            self._is_told = True
            import logging  # only now: whoever records loads nothing that it does not need

            logging.getLogger(__name__).warning(
                "more than %d query types or layers: the rest counts as %s (%s sets how many are told apart)",
                self._most,
                OTHER,
                SETTING,
            )


def _merged(m: QueryMetrics, gone: set[str]) -> QueryMetrics:
    """Return a record with some layers as one."""
    timed = {layer: ms for layer, ms in m.layer_latencies.items() if layer not in gone}
    others = [ms for layer, ms in m.layer_latencies.items() if layer in gone]
    if others:
        timed[OTHER] = timed.get(OTHER, 0.0) + sum(others)
    tasks = [task for task in m.tasks if task.layer not in gone | {OTHER}]
    merged = [task for task in m.tasks if task.layer in gone | {OTHER}]
    if merged:
        tasks.append(_one_of(merged))
    layers = list(dict.fromkeys(OTHER if layer in gone else layer for layer in m.layers_queried))
    return m._replace(layers_queried=layers, layer_latencies=timed, tasks=tuple(tasks))


def _one_of(tasks: Sequence[LayerTask]) -> LayerTask:
    failed = [task.outcome for task in tasks if task.outcome is not TaskOutcome.OK]
    return LayerTask(
        OTHER,
        min(task.offset_ms for task in tasks),
        max(task.queue_ms for task in tasks),
        sum(task.service_ms for task in tasks),
        max(task.in_flight for task in tasks),
        failed[0] if failed else TaskOutcome.OK,
        sum(task.result_count for task in tasks),
    )
