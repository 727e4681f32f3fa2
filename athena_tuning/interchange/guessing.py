"""Guesses a mapping from the names of the columns and the first rows."""

from __future__ import annotations

import re
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from athena_tuning.interchange import unit_readings, units
from athena_tuning.interchange.column_names import NAMES, TIMED, TIMED_NAMES, known_as
from athena_tuning.interchange.mapping import ColumnMapping
from athena_tuning.interchange.recognition import Doubt, Question
from athena_tuning.model import LAYERS

_EVIDENCE = 200
"""Rows that units are told from."""

_IDS = ("trace_id", "span_id", "parent_id")
_SUMMARY = re.compile(
    r"(^|[^a-z])(rate|rps|qps|tps|avg|average|mean|median|xacts|percentile|p\d\d)([^a-z]|$)"
)
_EITHER_COMMA = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")
"""A number in which a comma may stand before decimals or between thousands."""

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Guess:
    """A mapping, in plain words why, and what is open.

    Attributes:
        mapping: what the columns are taken for.
        notes: why; one for each thing that a person should see.
        questions: units that more than one reading fits.
        doubts: what else has to be asked.
    """

    mapping: ColumnMapping
    notes: tuple[str, ...]
    questions: tuple[Question, ...] = ()
    doubts: tuple[Doubt, ...] = ()


def guess(columns: Sequence[str], rows: Rows, known: Mapping[str, str] | None = None) -> Guess:
    """Guess what the columns of a table are.

    Args:
        columns: their names.
        rows: the first rows, values by name.
        known: units that the file's schema or a person names, by column.

    Examples:
        >>> rows = [{"StartTimeUnixNano": "1661141965391007814", "Duration": "191530", "op": "read"}]
        >>> guessed = guess(list(rows[0]), rows, {"Duration": "us"}).mapping
        >>> guessed.start, guessed.time_unit, guessed.latency, guessed.latency_unit
        ('StartTimeUnixNano', 'ns', 'Duration', 'us')
    """
    return _Guesser(columns, rows[:_EVIDENCE], known or {}).guess()


class _Guesser:
    """The evidence for one guess."""

    def __init__(self, columns: Sequence[str], rows: Rows, known: Mapping[str, str]) -> None:
        self._columns = columns
        self._rows = rows
        self._known = known
        self._values = {column: [row.get(column) for row in rows] for column in columns}
        self._notes: list[str] = []
        self._questions: list[Question] = []
        self._doubts: list[Doubt] = []

    def guess(self) -> Guess:
        guessed = self._by_name()
        if not guessed.keys() >= set(_IDS):
            guessed = {what: column for what, column in guessed.items() if what not in _IDS}
        self._check_id(guessed)
        self._check_time(guessed)
        layer_columns = {} if "layers" in guessed else self._layer_columns(guessed)
        time_unit, relative = self._time_unit(guessed)
        latency_unit = self._latency_unit(guessed, time_unit, relative)
        named = next((unit for column in layer_columns.values() if (unit := self._named(column))), None)
        layer_unit = (
            named or (self._named(guessed["layers"]) if "layers" in guessed else None) or latency_unit
        )
        columns_of: dict[str, Any] = {**guessed}
        mapping = ColumnMapping(
            **columns_of,
            layer_columns=layer_columns,
            time_unit=time_unit,
            latency_unit=latency_unit,
            layer_unit=layer_unit,
        )
        if relative:
            self._notes.append(
                "times count from a beginning that the file does not name; set origin to place them"
            )
        self._note_rest(mapping)
        return Guess(mapping, tuple(self._notes), tuple(self._questions), tuple(self._doubts))

    def _by_name(self) -> dict[str, str]:
        """Give each meaning its first name that is a column's; a column has one meaning.

        Times inside objects ("event.duration.ms") go by what follows a dot too. An object is only layers.
        """
        plain: dict[str, str] = {}
        timed: dict[str, str] = {}
        for column in self._columns:
            (plain if self._named(column) is None else timed).setdefault(known_as(column), column)
        inner = {
            known_as(c[dot + 1 :]): c for c in self._columns for dot, sign in enumerate(c) if sign == "."
        }
        objects = {c for c in self._columns if any(isinstance(value, Mapping) for value in self._values[c])}
        columns_by_meaning: dict[str, str] = {}
        for what, names in NAMES.items():
            known = {**plain, **timed} if what in TIMED else plain
            fitting = [known[name] for name in names if name in known]
            if what == "latency":
                fitting += [timed[name] for name in TIMED_NAMES if name in timed]
            if what in TIMED:
                fitting += [inner[name] for name in names if name in inner]
            taken = set(columns_by_meaning.values()) | (objects if what != "layers" else set())
            free = [column for column in fitting if column not in taken]
            if what in ("start", "end"):
                free.sort(key=lambda column: not self._is_moment(column))  # a "request time" may be none
            if what == "start" and free and not self._is_moment(free[0]):
                free = [*self._written_times(taken), *free]
            if free:
                columns_by_meaning[what] = free[0]
        return columns_by_meaning

    def _written_times(self, taken: Collection[str]) -> list[str]:
        """Return the columns that hold nothing but times in writing, whatever they are called."""
        times = []
        for column in self._columns:
            values = [value for value in self._values[column] if value not in (None, "")]
            if column not in taken and values and all(map(units.is_written_time, values)):
                times.append(column)
        return times

    def _check_id(self, columns_by_meaning: dict[str, str]) -> None:
        """Leave out an id that most rows share with others: it names a kind of event, not an event."""
        column = columns_by_meaning.get("query_id")
        values = [value for value in self._values.get(column or "", ()) if value not in (None, "")]
        if len(values) > 1 and len(set(map(str, values))) < len(values) / 2:
            del columns_by_meaning["query_id"]
            self._notes.append(f"{column!r} comes again and again: it is not taken for an id")

    def _check_time(self, columns_by_meaning: dict[str, str]) -> None:
        """Leave out a time that holds none, and look for one by the values where no name says so."""
        start = columns_by_meaning.get("start")
        values = [value for value in self._values.get(start or "", ()) if value not in (None, "")]
        if values and not any(units.is_written_time(value) or _numbers([value]) for value in values):
            del columns_by_meaning["start"]
            self._notes.append(
                f"{start!r} is a time by its name, but {values[0]!r:.60} is none: Unix times and "
                "ISO 8601 are understood"
            )
        if not {"start", "end"} & columns_by_meaning.keys() and (
            first := self._first_with_times(columns_by_meaning)
        ):
            columns_by_meaning["start"] = first

    def _is_moment(self, column: str) -> bool:
        """Whether a column holds times that have a place in the calendar."""
        values = [value for value in self._values[column] if value not in (None, "")]
        if not values:
            return False
        if any(map(units.is_written_time, values)):
            return True
        numbers = _numbers(values)
        size = units.SECONDS[self._named(column) or units.time_unit_of(numbers)]
        return bool(numbers) and units.EARLIEST < statistics.median(numbers) * size < units.LATEST

    def _first_with_times(self, columns_by_meaning: Mapping[str, str]) -> str | None:
        """Return the first column without a meaning that holds nothing but times of the last decades.

        Numbers count only where no column has a name: a number of a name of its own is no time.
        """
        if written := self._written_times(set(columns_by_meaning.values())):
            return written[0]

        def holds(column: str) -> bool:
            values = [value for value in self._values[column] if value not in (None, "")]
            if not column.startswith("column "):
                return False
            numbers = _numbers(values)
            size = units.SECONDS[units.time_unit_of(numbers)]
            plausible = sum(units.EARLIEST < n * size < units.LATEST for n in numbers)
            return bool(values) and plausible == len(values)

        free = (column for column in self._columns if column not in columns_by_meaning.values())
        return next((column for column in free if holds(column)), None)

    def _layer_columns(self, columns_by_meaning: Mapping[str, str]) -> dict[str, str]:
        """Find columns like ``semantic_ms`` and ``layer_search_latency``."""
        timing = {"latency", "duration", "time", "took", "elapsed"}
        layers: dict[str, str] = {}
        for column in self._columns:
            parts = units.words(column)
            timed = self._named(column) is not None or bool(timing.intersection(parts))
            name = "_".join(
                w for w in parts if w not in timing and units.named_unit(w) is None and w != "layer"
            )
            if (
                column not in columns_by_meaning.values()
                and timed
                and name
                and (name in LAYERS or parts[0] == "layer")
            ):
                layers[name] = column
        return layers

    def _time_unit(self, columns_by_meaning: Mapping[str, str]) -> tuple[str, bool]:
        """Return the unit of times, and whether they count from an unknown beginning."""
        what = "start" if "start" in columns_by_meaning else "end"
        column = columns_by_meaning.get(what)
        if column is None:
            return "s", False
        values = self._values[column]
        written = sum(map(units.is_written_time, values))
        if written > len(values) / 2:
            unit, why = "text", f"{column!r} is a written time"
            self._notes.append(why)
        elif (named := self._named(column)) is not None:
            unit, why = named, self._why_named(column)
            self._notes.append(f"times are in {unit}: {why}")
        else:
            unit, why, question = unit_readings.time_unit(what, column, _numbers(values))
            self._notes.append(f"times are in {unit}: {why}")
            self._questions += [question] if question else []
        times = [time for time in self._moments(column, unit) if time is not None]
        return unit, bool(times) and max(times) < units.EARLIEST

    def _latency_unit(self, columns_by_meaning: Mapping[str, str], time_unit: str, relative: bool) -> str:
        column = columns_by_meaning.get("latency")
        if column is None:
            both = "start" in columns_by_meaning and "end" in columns_by_meaning
            self._notes.append(
                "latency is end − start" if both else "no column is a latency: it stays unknown"
            )
            return "ms"
        named = self._named(column)
        if named is not None:
            unit, why = named, self._why_named(column)
        else:
            unit, why = self._unit_by_values(columns_by_meaning, column, time_unit, relative)
        self._notes.append(f"latencies are in {unit}: {why}")
        return unit

    def _unit_by_values(
        self, columns_by_meaning: Mapping[str, str], column: str, time_unit: str, relative: bool
    ) -> tuple[str, str]:
        values = self._values[column]
        if values and all(isinstance(v, str) and units.brings_unit(v) for v in values if v not in (None, "")):
            return "ms", f"{column!r}: the values bring their units"
        starts, ends = (self._moments(columns_by_meaning.get(what), time_unit) for what in ("start", "end"))
        pairs = [
            (taken[0], end - start)
            for value, start, end in zip(values, starts, ends, strict=False)
            if start is not None and end is not None and (taken := _numbers([value]))
        ]
        agreed = units.unit_that_agrees([d for d, _ in pairs], [s for _, s in pairs])
        if agreed is not None:
            return agreed, f"{column!r}: end − start agrees"
        beside = time_unit if relative and time_unit != "text" else None
        times = [time for time in (starts or ends) if time is not None]
        length = max(times) - min(times) if times else 0.0
        per_s = (len(times) - 1) / length if length > 0 else None
        unit, why, question = unit_readings.duration_unit(column, _numbers(values), per_s, beside)
        self._questions += [question] if question else []
        return unit, f"{column!r}: {why}"

    def _named(self, column: str) -> str | None:
        return self._known.get(column) or units.named_unit(column)

    def _why_named(self, column: str) -> str:
        return f"{column!r} {'has it as its type' if column in self._known else 'names its unit'}"

    def _moments(self, column: str | None, unit: str) -> list[float | None]:
        return [] if column is None else [_moment(value, unit) for value in self._values[column]]

    def _note_rest(self, mapping: ColumnMapping) -> None:
        unused = [column for column in self._columns if column not in mapping.columns.values()]
        summaries = [
            column for column in unused if _SUMMARY.search("_".join((*units.words(column), column.lower())))
        ]
        if summaries:
            words = (
                f"{', '.join(map(repr, summaries))}: if rows are summaries, each still counts as one query"
            )
            self._notes.append(words)
            self._doubts.append(Doubt("summaries", words, "is each row one request?"))
        for column in (mapping.latency, mapping.result_count, *mapping.layer_columns.values()):
            self._check_commas(column)
        if mapping.is_spans:
            self._notes.append("rows are spans: one without a parent is a query, its children are layers")

    def _check_commas(self, column: str | None) -> None:
        """Ask about numbers whose comma could stand for thousands as well as for decimals."""
        written = [value for value in self._values.get(column or "", ()) if isinstance(value, str)]
        with_comma = [value.strip() for value in written if "," in value]
        if with_comma and all(map(_EITHER_COMMA.fullmatch, with_comma)):
            one = with_comma[0]
            words = f"numbers like {one!r} in {column!r} are read as {one.replace(',', '.')}"
            way_out = "if the comma stands between thousands, write the file without it"
            self._doubts.append(Doubt("decimal sign", words, way_out))


def _numbers(values: Sequence[Any]) -> list[float]:
    kept = []
    for value in values:
        try:
            amount = units.number(value)
        except ValueError:
            continue
        if amount is not None:
            kept.append(amount)
    return kept


def _moment(value: Any, unit: str) -> float | None:
    try:
        return units.moment(value, unit)
    except ValueError:
        return None
