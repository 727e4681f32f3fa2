from __future__ import annotations

import math
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.service import text, units

HOSTILE = (
    "![x](http://evil.example/a.png)",
    '<img src=x onerror="alert(1)"><script>alert(2)</script>',
    "$\\href{javascript:alert(1)}{x}$ :material/home: :red[x]",
    "\u202eevil\u2066 text\u200f",
    "[a](javascript:alert(1)) www.evil.example <http://evil.example>",
    "x" * 1_000_000,
    "a\x00b\x1b[31m\ud800",
)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_plain_is_one_short_line_without_control_or_direction_characters(hostile: str) -> None:
    shown = text.plain(hostile, 100)
    assert len(shown) <= 100
    assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs"} for c in shown)


@given(st.text(), st.integers(1, 300))
def test_plain_never_exceeds_its_limit_and_is_stable(value: str, limit: int) -> None:
    once = text.plain(value, limit)
    assert len(once) <= limit
    assert text.plain(once, limit) == once


@given(st.text(max_size=200))
def test_markdown_leaves_no_active_character_bare(value: str) -> None:
    shown = text.markdown(value)
    bare = re.sub(r"\\[\\`*_{}\[\]<>()#+\-.!|~$:@&^=/]", "", shown)
    assert not set(bare) & set("\\`*_{}[]<>()#+!|~$:@&")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_plotly_labels_hold_no_tag(hostile: str) -> None:
    assert "<" not in text.plotly(hostile)


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_a_cell_that_a_spreadsheet_would_compute_becomes_text(formula: str) -> None:
    assert str(text.cell(formula)).startswith("'")


@pytest.mark.parametrize(
    "write", [units.ms, units.seconds, units.percent, units.rate, units.count, units.times]
)
@pytest.mark.parametrize("unknown", [None, math.nan, math.inf])
def test_unknown_figures_are_a_dash(write: object, unknown: float | None) -> None:
    assert write(unknown) == units.UNKNOWN  # type: ignore[operator]


def test_wall_clock_follows_summer_time() -> None:
    winter, summer = 1_767_225_600.0, 1_782_864_000.0  # 2026-01-01 and 2026-07-01, midnight UTC
    hours = [(units.wall_ms(t, "Europe/Berlin") / 1000 - t) / 3600 for t in (winter, summer)]
    assert hours == [1.0, 2.0]
