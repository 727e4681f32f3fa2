"""The HTML around a report: one file, no script, nothing fetched; every text from outside is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(title: str, body: Iterable[str]) -> str:
    """Return a whole document.

    Args:
        title: plain text.
        body: parts that are HTML already.
    """
    style = resources.files(__package__).joinpath("style.css").read_text("utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def heading(title: str, below: str) -> str:
    """Return the head of a report, from plain text."""
    return f'<header><h1>{escape(title)}</h1><p class="soft">{escape(below)}</p></header>'


def section(title: str, *inside: str) -> str:
    """Return a framed part; ``inside`` is HTML, the title plain text."""
    return f"<section><h2>{escape(title)}</h2>{''.join(inside)}</section>"


def side_by_side(*sections: str) -> str:
    """Return sections beside each other where there is room."""
    return f'<div class="grid-2">{"".join(sections)}</div>'


def cards(values: Mapping[str, str]) -> str:
    """Return figures in large type, from plain text."""
    inside = "".join(
        f"<div><span>{escape(name)}</span><b>{escape(value)}</b></div>" for name, value in values.items()
    )
    return f'<div class="cards">{inside}</div>'


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: int = 0, looks: Sequence[str] = ()
) -> str:
    """Return a table from plain text.

    Args:
        columns: its head.
        rows: its cells.
        numbers: so many columns after the first are aligned as numbers.
        looks: a class for each row, or nothing.
    """

    def cells(tag: str, row: Sequence[str]) -> str:
        of = [' class="n"' if 1 <= n <= numbers else "" for n in range(len(row))]
        return "".join(f"<{tag}{a}>{escape(text)}</{tag}>" for a, text in zip(of, row, strict=True))

    looks = looks or [""] * len(rows)
    body = "".join(
        f'<tr class="{escape(look)}">{cells("td", row)}</tr>' for look, row in zip(looks, rows, strict=True)
    )
    return f"<table><thead><tr>{cells('th', columns)}</tr></thead><tbody>{body}</tbody></table>"


def legend(entries: Mapping[str, str]) -> str:
    """Return what the lines are: the class of each by its name."""
    sample = '<svg viewBox="0 0 26 10" aria-hidden="true"><path class="line {}" d="M0 5H26"/></svg>'
    inside = "".join(
        f"<li>{sample.format(escape(look))}{escape(name)}</li>" for name, look in entries.items()
    )
    return f'<ul class="legend">{inside}</ul>'


def notes(words: Sequence[str]) -> str:
    """Return sentences as a list; nothing if there are none."""
    if not words:
        return ""
    return f'<ul class="notes">{"".join(f"<li>{escape(each)}</li>" for each in words)}</ul>'


def folded(title: str, inside: str) -> str:
    """Return a part that opens when it is wanted; ``inside`` is HTML."""
    return f"<details><summary>{escape(title)}</summary>{inside}</details>"
