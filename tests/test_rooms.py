"""The rooms of the package: what ``lint-imports`` cannot say of sizes and file names."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import athena_tuning
from athena_tuning import locations

PACKAGE = Path(athena_tuning.__file__).parent
LARGEST_SHARE = 0.15
MAY_REPEAT = {"__init__", "__main__", "base"}


def files() -> list[Path]:
    return sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def pages() -> list[Path]:
    folder = locations.dashboard()
    return sorted(path.relative_to(folder) for path in (folder / "pages").rglob("*.py"))


def room_of(path: Path) -> str:
    return path.parts[0] if len(path.parts) > 1 else ""


def test_no_room_is_larger_than_its_share() -> None:
    lines: dict[str, int] = defaultdict(int)
    for path in files():
        lines[room_of(path)] += len((PACKAGE / path).read_text("utf-8").splitlines())
    total = sum(lines.values())
    assert {room: n for room, n in lines.items() if n > LARGEST_SHARE * total} == {}


def test_no_file_name_stands_in_more_than_two_rooms() -> None:
    rooms: dict[str, set[str]] = defaultdict(set)
    for path in (*files(), *pages()):
        rooms[path.stem].add(room_of(path))
    repeated = {name: those for name, those in rooms.items() if len(those) > 2 and name not in MAY_REPEAT}
    assert repeated == {}
