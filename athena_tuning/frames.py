"""Records as tables of pandas: typed columns, named as the records' fields, with units in their names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

import numpy as np

from athena_tuning.extras import needs_extra

if TYPE_CHECKING:
    import pandas as pd

R = TypeVar("R")

TIME = "time"
"""In place of a dtype: Unix seconds, which become ``datetime64[us, UTC]``."""

TEXT = "string[python]"
"""The dtype of texts; Arrow's would refuse what is no valid UTF-8."""

_TIMES = frozenset({"time", "started", "last_seen"})
"""A field with one of these names holds Unix seconds, in every record."""

_DTYPES: Mapping[Any, str] = {
    bool: "bool",
    bool | None: "boolean",
    int: "int64",
    int | None: "Int64",
    float: "float64",
    float | None: "float64",
    str: TEXT,
    str | None: TEXT,
}

_OF_NUMPY = frozenset({"bool", "int64", "float64"})

Columns = Mapping[str, tuple[Any, Any]]
"""By name a dtype, a ``StrEnum`` or ``TIME``, and the values."""


class Records(list[R]):
    """A list of records of one dataclass that pandas can have as a table.

    A row is a record, a column a field; the fields of a record inside a record follow its name and ``_``.
    Names out of a fixed set are categories, and a field of several values is a column of objects. What is
    unknown is missing (NaN, NA, NaT). A field that ``repr`` does not show is no column.

    Args:
        record: the dataclass; it says the columns also where there is no record.
        values: the records.

    Example:
        >>> from athena_tuning.model import WorkerStatus
        >>> table = Records(WorkerStatus).to_pandas()
        >>> len(table), str(table.dtypes["config_version"])
        (0, 'int64')
    """

    def __init__(self, record: type[R], values: Iterable[R] = ()) -> None:
        super().__init__(values)
        self.record: Any = record

    def to_pandas(self) -> pd.DataFrame:
        """Return the records as a table, in their order.

        Raises:
            MissingExtra: if pandas is not installed.
        """
        columns = {}
        for name, dtype, get in _columns_of(self.record):
            values = list(map(get, self))
            columns[name] = dtype, list(map(_plain, values)) if dtype == "object" else values
        return frame(columns)


def frame(columns: Columns) -> pd.DataFrame:
    """Return typed columns as a table.

    Raises:
        MissingExtra: if pandas is not installed.

    Example:
        >>> table = frame({"time": (TIME, [0.5, None]), "hits": ("Int64", [3, None])})
        >>> [str(dtype) for dtype in table.dtypes], table["time"][0].isoformat()
        (['datetime64[us, UTC]', 'Int64'], '1970-01-01T00:00:00.500000+00:00')
    """
    with needs_extra("pandas", "A table of pandas"):
        import pandas as pd

    def array(
        dtype: Any, values: Any
    ) -> Any:  # a Series for each would be aligned by index, at thrice the time
        if dtype == TIME:
            return pd.DatetimeIndex(_times(values)).tz_localize("UTC")
        if _is_names(dtype):
            return pd.Categorical(values, [member.value for member in dtype])
        if dtype == "object":
            return _objects(values)
        return np.asarray(values, dtype) if dtype in _OF_NUMPY else pd.array(values, dtype=dtype)

    return pd.DataFrame({name: array(*column) for name, column in columns.items()})


@cache
def _columns_of(record: Any, path: str = "") -> tuple[tuple[str, Any, Callable[[Any], Any]], ...]:
    """Return name, dtype and getter of each column that records of this dataclass have."""
    hints = get_type_hints(record)
    found: list[tuple[str, Any, Callable[[Any], Any]]] = []
    for field in fields(record):
        hint, within = hints[field.name], f"{path}{field.name}"
        if not field.repr:
            continue
        if is_dataclass(hint):
            found += _columns_of(hints[field.name], f"{within}.")
        else:
            dtype = TIME if field.name in _TIMES else hint if _is_names(hint) else _DTYPES.get(hint, "object")
            name = "_".join(filter(None, (within.replace(".", "_"), field.metadata.get("unit"))))
            found.append((name, dtype, attrgetter(within)))
    return tuple(found)


def _is_names(dtype: Any) -> bool:
    return isinstance(dtype, type) and issubclass(dtype, StrEnum)


def _plain(value: Any) -> Any:
    """Return a value of a type that files of tables know."""
    if isinstance(value, Mapping):
        return dict(value)
    return sorted(value) if isinstance(value, frozenset) else value


def _objects(values: Any) -> Any:
    """Return values as an array of numpy, where tuples of one length would become a table."""
    objects = np.empty(len(values), np.object_)
    for at, value in enumerate(values):
        objects[at] = value
    return objects


def _times(seconds: Any) -> Any:
    """Return Unix seconds as times of numpy; NaN or None is no time."""
    seconds = np.asarray(seconds, np.float64)
    known = np.isfinite(seconds)
    times = np.full(len(seconds), "NaT", "datetime64[us]")
    times[known] = np.rint(seconds[known] * 1e6).astype(np.int64).astype("datetime64[us]")
    return times
