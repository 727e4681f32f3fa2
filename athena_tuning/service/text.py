"""Text from outside, made fit to show: no markup, no direction marks, no megabytes.

Query texts, reasons and names come from anybody. ``plain`` is for places that show text as it is (tables,
``st.text``, ECharts); ``markdown`` and ``plotly`` are for those that would interpret it; ``cell`` is for
files that a spreadsheet opens.
"""

from __future__ import annotations

import html
import re
import unicodedata

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~$:@&^=/])")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def plain(value: object, limit: int = 160) -> str:
    r"""Return one line of at most ``limit`` characters without control or direction characters.

    Examples:
        >>> plain("what\nfailed\u202e  today?")
        'what failed today?'
        >>> plain("x" * 500, limit=10)
        'xxxxxxxxx…'
    """
    head = str(value)[: limit * 4 + 64]
    visible = "".join(
        " " if character.isspace() else character
        for character in head
        if character.isspace() or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn"}
    )
    line = " ".join(visible.split())
    return line if len(line) <= limit and len(str(value)) <= len(head) else f"{line[: limit - 1]}…"


def markdown(value: object, limit: int = 160) -> str:
    r"""Return ``plain`` text that Markdown shows as it is.

    Examples:
        >>> print(markdown("![x](http://e.org/a.png) $x$"))
        \!\[x\]\(http\:\/\/e\.org\/a\.png\) \$x\$
    """
    return _MARKDOWN.sub(r"\\\1", plain(value, limit))


def plotly(value: object, limit: int = 60) -> str:
    """Return ``plain`` text that a Plotly label shows as it is.

    Examples:
        >>> plotly("<b>graph</b>")
        '&lt;b&gt;graph&lt;/b&gt;'
    """
    return html.escape(plain(value, limit), quote=False)


def cell(value: object) -> object:
    """Return a value that a spreadsheet reads as text or number, never as a formula.

    Examples:
        >>> cell("=1+1"), cell(-3.5), cell("deploy")
        ("'=1+1", -3.5, 'deploy')
    """
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
