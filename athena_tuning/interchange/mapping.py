"""Which column of a table is what: a value that is guessed, shown and corrected."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self

from athena_tuning.interchange.units import SECONDS, UNITS

_SETTINGS = frozenset({"time_unit", "latency_unit", "layer_unit", "layer_columns", "origin"})
_UNIT_OF = {"start": "time_unit", "end": "time_unit", "latency": "latency_unit", "layers": "layer_unit"}


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Where a record's values are. Names of columns, None where the table has none: that stays unknown.

    A column inside JSON objects is named with dots ("http.status"). With ``trace_id``, ``span_id`` and
    ``parent_id`` the rows are spans: a span without a parent is a query, its children are layers.

    Attributes:
        start: when the query began. ``end`` and ``latency`` together do as well.
        end: when it ended.
        latency: how long it took; without it end − start.
        query_id: unique id; without it the row's number.
        query_text: what was asked.
        query_type: what kind of query.
        success: yes or no, or a status code.
        error: what failed. Without a success column a text here means failure, and none success.
        cache_hit: whether a cache answered.
        result_count: items returned.
        memory_mb: memory in MB.
        user_satisfaction: feedback, 0 to 1.
        layers: one column with the time of each layer as a JSON object, or a list of layers' names.
        layer_columns: time columns, by layer.
        trace_id: trace of a span.
        span_id: id of a span.
        parent_id: id of the span that it belongs to.
        time_unit: "s", "ms", "us", "ns", or "text" for ISO 8601 and times of day.
        latency_unit: "s", "ms", "us" or "ns".
        layer_unit: the same for layers' times.
        origin: Unix seconds of time 0, for times that count from a beginning of their own.

    Raises:
        ValueError: if a unit is none.

    Example:
        >>> ColumnMapping(start="ts", latency="took").corrected(latency_unit="us").latency_unit
        'us'
    """

    start: str | None = None
    end: str | None = None
    latency: str | None = None
    query_id: str | None = None
    query_text: str | None = None
    query_type: str | None = None
    success: str | None = None
    error: str | None = None
    cache_hit: str | None = None
    result_count: str | None = None
    memory_mb: str | None = None
    user_satisfaction: str | None = None
    layers: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    parent_id: str | None = None
    layer_columns: Mapping[str, str] = field(default_factory=dict)
    time_unit: str = "s"
    latency_unit: str = "ms"
    layer_unit: str = "ms"
    origin: float = 0.0

    def __post_init__(self) -> None:
        if self.time_unit not in UNITS:
            raise ValueError(f"time_unit must be one of {', '.join(UNITS)}, not {self.time_unit!r}")
        for name in ("latency_unit", "layer_unit"):
            if getattr(self, name) not in SECONDS:
                raise ValueError(f"{name} must be one of {', '.join(SECONDS)}, not {getattr(self, name)!r}")

    @property
    def is_spans(self) -> bool:
        """Whether the rows are spans of traces."""
        return bool(self.trace_id and self.span_id and self.parent_id)

    @property
    def columns(self) -> dict[str, str]:
        """The columns in use, by what they are; layers' own columns as "layer:NAME"."""
        names = (f.name for f in fields(self) if f.name not in _SETTINGS)
        used = {name: column for name in names if (column := getattr(self, name)) is not None}
        return {**used, **{f"layer:{layer}": column for layer, column in self.layer_columns.items()}}

    def corrected(self, **changes: Any) -> Self:
        """Return the mapping with other values; "" means that no column is it.

        Raises:
            ValueError: if a name is unknown or a unit is none.
        """
        unknown = set(changes) - {f.name for f in fields(self)}
        if unknown:
            known = ", ".join(f.name for f in fields(self))
            raise ValueError(f"a mapping has no {', '.join(sorted(unknown))}; it has {known}")
        if "origin" in changes:
            changes["origin"] = float(changes["origin"])
        empty = {name for name, value in changes.items() if value == "" and name not in _SETTINGS}
        return replace(self, **{**changes, **dict.fromkeys(empty)})

    def changes_in(self, words: Sequence[str]) -> dict[str, Any]:
        """Return corrections as a person writes them, for ``corrected``.

        Args:
            words: each ``WHAT=COLUMN``, ``WHAT=COLUMN:UNIT`` (start, end, latency and layers have units),
                ``layer.NAME=COLUMN``, ``WHAT=`` for no column, or a setting like ``latency_unit=us``.

        Raises:
            ValueError: naming the word that is none.

        Example:
            >>> mapping = ColumnMapping(start="ts")
            >>> changes = mapping.changes_in(["latency=took:us", "layer.graph=g:ns"])
            >>> changes["latency"], changes["latency_unit"], mapping.corrected(**changes).layer_columns
            ('took', 'us', {'graph': 'g'})
        """
        changes: dict[str, Any] = {}
        layers = dict(self.layer_columns)
        for word in words:
            what, sign, column = word.partition("=")
            if not sign:
                raise ValueError(f"{word!r:.80} is no WHAT=COLUMN")
            name, dot, layer = what.partition(".")
            setting = "layer_unit" if name == "layer" and dot else _UNIT_OF.get(what)
            before, _, unit = column.rpartition(":")
            if setting is not None and unit in UNITS and before:
                column, changes[setting] = before, unit
            if name == "layer" and dot:
                layers = {kept: at for kept, at in layers.items() if kept != layer}
                layers |= {layer: column} if column else {}
            else:
                changes[what] = column
        return changes if layers == self.layer_columns else {**changes, "layer_columns": layers}

    def check_columns(self, columns: Collection[str]) -> None:
        """Refuse a mapping that names a column which the table does not have.

        Raises:
            ValueError: naming it, and the columns that there are.
        """
        for what, column in self.columns.items():
            if column not in columns:
                raise ValueError(f"{what} is mapped to {column!r}, which is none of {_listed(columns)}")

    def check(self, columns: Collection[str]) -> None:
        """Refuse a mapping that a table cannot satisfy.

        Raises:
            ValueError: if a column does not exist or no column holds a time.
        """
        self.check_columns(columns)
        if self.start is None and (self.end is None or self.latency is None):
            raise ValueError(
                "no column says when a query began: map one to start, or end and latency; "
                f"there are {_listed(columns)}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the values as plain JSON types."""
        return asdict(self)


def _listed(columns: Collection[str]) -> str:
    names = [repr(name) for name in list(columns)[:20]]
    return ", ".join(names) + (f" and {len(columns) - 20} more" if len(columns) > 20 else "")
