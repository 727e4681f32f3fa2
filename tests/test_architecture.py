"""The picture of the rooms is the one that the imports draw today."""

from __future__ import annotations

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def drawing():
    spec = importlib.util.spec_from_file_location("architecture", DOCS / "architecture.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_of_the_rooms_shows_the_imports_as_they_are() -> None:
    architecture = drawing()
    drawn = architecture.draw(architecture.arrows())
    assert drawn == architecture.PICTURE.read_text("utf-8"), "run `python docs/architecture.py`"


def test_every_room_stands_above_what_it_imports() -> None:
    architecture = drawing()
    imports = architecture.arrows()
    levels = architecture.levels(imports)
    assert levels["model"] == 0
    assert all(levels[room] > levels[other] for room, others in imports.items() for other in others)


def test_an_arrow_that_a_longer_way_says_too_is_left_out() -> None:
    chain = {"a": {"b", "c"}, "b": {"c"}, "c": set()}
    assert drawing().reduced(chain) == [("a", "b"), ("b", "c")]
