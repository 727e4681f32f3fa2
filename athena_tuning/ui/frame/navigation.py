"""Which pages there are: their files, titles and places in the navigation."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from athena_tuning import locations


class PageEntry(NamedTuple):
    """One page: its file below ``pages/``, how it is called, and what it answers."""

    file: str
    title: str
    icon: str
    question: str

    @property
    def path(self) -> Path:
        """The absolute path of its file."""
        return locations.dashboard() / "pages" / self.file

    @property
    def url(self) -> str:
        """Its address below the app's."""
        return Path(self.file).stem


SECTIONS: dict[str, tuple[PageEntry, ...]] = {
    "Observe": (
        PageEntry("observe/overview.py", "Overview", "monitoring", "Is it healthy, and is it getting worse?"),
        PageEntry("observe/latency.py", "Latency", "speed", "Where does the time go?"),
        PageEntry("observe/patterns.py", "Patterns", "calendar_view_week", "When is it slow, and when busy?"),
        PageEntry("observe/cache.py", "Cache", "bolt", "What does the result cache save?"),
        PageEntry("observe/concurrency.py", "Concurrency", "alt_route", "What do parallel layers give?"),
    ),
    "Tune": (
        PageEntry("tune/config.py", "Config", "tune", "What is in force, what is proposed, and why?"),
        PageEntry("tune/simulate.py", "Simulate", "science", "What happens under load?"),
        PageEntry("tune/history.py", "History", "history", "What was changed, and did it help?"),
    ),
    "Data": (
        PageEntry("data/workloads.py", "Workloads", "dataset", "What is asked, and what comes back?"),
        PageEntry("data/system.py", "System", "dns", "Does everything run and arrive?"),
    ),
}


def page_file(url: str) -> str:
    """Return the path of a page's file by its address, for links.

    Example:
        >>> page_file("config").endswith("config.py")
        True
    """
    entry = next(entry for entries in SECTIONS.values() for entry in entries if entry.url == url)
    return str(entry.path)
