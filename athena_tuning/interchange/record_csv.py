"""A record as cells of a CSV table and back."""

from __future__ import annotations

import json
from collections.abc import Mapping

from athena_tuning.interchange import record_json
from athena_tuning.model import QueryMetrics

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_TEXTS = ("query_id", "query_text", "query_type", "error", "source")
_FLAGS = {"true": True, "false": False}


def to_cells(m: QueryMetrics) -> list[str]:
    """Return the cells of a record in the order of ``record_json.FIELDS``; what is unknown is empty.

    Examples:
        >>> m = QueryMetrics("q1", "=SUM(A1)", "factual", 5.0, 1.5, None, None, 1, [], {}, True)
        >>> to_cells(m)[:6]
        ['q1', "'=SUM(A1)", 'factual', '5.0', '1.5', '']
    """
    return [_cell(name, value) for name, value in record_json.to_plain(m).items()]


def from_cells(row: Mapping[str, str]) -> QueryMetrics:
    """Make a record of the cells of an export, by name.

    Raises:
        ValueError: if a cell does not fit; the message names it.
    """
    values: dict[str, object] = {}
    for name in record_json.FIELDS:
        cell = row.get(name, "")
        if name in _TEXTS:
            values[name] = plain_text(cell)
        elif cell == "":
            values[name] = None
        elif name in record_json.NESTED:
            values[name] = _loaded(name, cell)
        else:
            values[name] = _FLAGS.get(cell.lower()) if cell.lower() in _FLAGS else _number(name, cell)
    return record_json.from_plain(values)


def safe_text(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: one that looks like it gets an apostrophe.

    Examples:
        >>> safe_text("=1+1"), safe_text("a=1"), plain_text(safe_text("'-1"))
        ("'=1+1", 'a=1', "'-1")
    """
    return f"'{text}" if text.startswith((*_FORMULA, "'")) else text


def plain_text(cell: str) -> str:
    """Return the text that ``safe_text`` was given."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith((*_FORMULA, "'")) else cell


def _cell(name: str, value: object) -> str:
    if value is None:
        return ""
    if name in _TEXTS:
        return safe_text(str(value))
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _loaded(name: str, cell: str) -> object:
    try:
        return json.loads(cell)
    except (RecursionError, ValueError) as exc:
        raise ValueError(f"{name} is no JSON: {exc}") from None


def _number(name: str, cell: str) -> float | int:
    try:
        return int(cell) if cell.isdigit() else float(cell)
    except ValueError:
        raise ValueError(f"{name} must be a number, true or false, not {cell!r:.80}") from None
