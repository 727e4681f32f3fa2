"""TODO and FIXME: what somebody meant to do."""

from __future__ import annotations

import re
from collections.abc import Iterator

from athena_tuning.integrations.git.writing import FileWriter

_WORDS = r"@?(TODO|FIXME|XXX|HACK)\b(?:\(([^)\n]{1,80})\))?\s*[:\-]?\s*(.*)$"
_COMMENT = re.compile(rf"(?:^|[^\w'\"`])(?:#|//|/\*|\*|--|;|%|<!--)\s*{_WORDS}")
_PROSE = re.compile(rf"^\s*(?:[-*+]\s+|<!--\s*|\.\.\s+)?{_WORDS}")
_GOES_ON = re.compile(r"^\s*(?:#|//|\*|--|;|%)\s?(\s*\S.*)$")
_MOST_LINES = 4


def write(writer: FileWriter, text: str, *, prose: bool) -> None:
    """Add what a file leaves to be done: a source in its comments, prose at the beginning of a line."""
    for number, mark, owner, words in marks(text, _PROSE if prose else _COMMENT):
        whose = f" ({owner})" if owner else ""
        writer.add("prospective", "todo", f"{mark} in {writer.path}, line {number}{whose}: {words}")


def marks(text: str, begins: re.Pattern[str] = _COMMENT) -> Iterator[tuple[int, str, str, str]]:
    r"""Give line number, mark, owner and words of each comment that begins with a mark.

    Examples:
        >>> list(marks("a = 1  # TODO(ana): name it\n# better\nb = 2"))
        [(1, 'TODO', 'ana', 'name it better')]
    """
    lines = text.splitlines()
    for at, line in enumerate(lines):
        if "TODO" not in line and "FIXME" not in line and "XXX" not in line and "HACK" not in line:
            continue
        if (match := begins.search(line[:2000])) is None:
            continue
        words = [match[3].strip().removesuffix("*/").removesuffix("-->").strip()]
        for following in lines[at + 1 : at + _MOST_LINES]:
            more = _GOES_ON.match(following)
            if more is None or begins.search(following[:2000]):
                break
            words.append(more[1].strip())
        plan = " ".join(filter(None, words))
        if plan:
            yield at + 1, match[1], match[2] or "", plan
