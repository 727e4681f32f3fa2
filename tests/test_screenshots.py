"""Pictures of pages are compared by how the page looks, not by what its figures are."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("PIL")
from PIL import Image, ImageDraw

_SPEC = importlib.util.spec_from_file_location(
    "screenshots", Path(__file__).parents[1] / "docs" / "screenshots.py"
)
assert _SPEC
assert _SPEC.loader
screenshots = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(screenshots)


def page(*, cards: int = 3, words: str = "p99 17 ms", length: int = 1200) -> Image.Image:
    drawn = Image.new("RGB", (1440, length), "#0b0f15")
    pen = ImageDraw.Draw(drawn)
    for n in range(cards):
        top = 60 + n * 360
        pen.rectangle((240, top, 1400, top + 330), fill="#3a4a60")
        pen.text((260, top + 20), words, fill="white")
    return drawn


def test_picture_with_other_figures_is_the_same_page() -> None:
    assert screenshots.differs(page(), page(words="p99 428 ms; 87 wait")) == ""


@pytest.mark.parametrize(
    ("other", "says"),
    [(page(cards=2), "looks different"), (page(length=1700), "px long, not 1200")],
    ids=["a card is gone", "half as long again"],
)
def test_picture_of_another_page_is_told(other: Image.Image, says: str) -> None:
    assert says in screenshots.differs(page(), other)


def test_page_without_a_picture_is_told(tmp_path: Path) -> None:
    made, kept = tmp_path / "made", tmp_path / "kept"
    made.mkdir()
    kept.mkdir()
    page().save(made / "fleet-dark.png")
    assert screenshots.check(made, kept) == ["fleet-dark.png: there is no picture of it"]
