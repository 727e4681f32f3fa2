"""The picture of the rooms is what the imports draw today, and the pages name files that are there."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


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


def test_every_program_file_that_the_pages_name_is_there() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")]
    named = {
        (page.name, file)
        for page in pages
        for file in re.findall(r"`((?:\w+/)+\w+\.py)`", page.read_text("utf-8"))
    }
    assert ("architecture.md", "control/operations.py") in named
    missing = {
        (page, file)
        for page, file in named
        if not any((folder / file).is_file() for folder in (ROOT, ROOT / "athena_tuning"))
    }
    assert missing == set()
