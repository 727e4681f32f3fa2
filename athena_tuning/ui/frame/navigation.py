"""Which pages there are: their files, titles and places in the navigation."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from athena_tuning import locations


class PageEntry(NamedTuple):
    """One page.

    Attributes:
        file: below ``pages/``.
        title: how it is called.
        icon: of Material Symbols.
        question: what it answers.
        live: whether it renews itself; else it keeps its moment until asked for a newer one.
    """

    file: str
    title: str
    icon: str
    question: str
    live: bool = False

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
        PageEntry(
            "observe/overview.py",
            "Overview",
            "monitoring",
            "Is all well, why not, and what is to be done?",
            live=True,
        ),
        PageEntry(
            "observe/recalls.py", "Recalls", "manage_search", "Which were they, and where did time go?"
        ),
        PageEntry("observe/latency.py", "Latency", "speed", "Where does the time go?"),
        PageEntry(
            "observe/layers.py",
            "Layers",
            "layers",
            "Does each answer, and is it worth what it costs?",
            live=True,
        ),
        PageEntry(
            "observe/fleet.py",
            "Fleet",
            "lan",
            "Which managers are there, and what does each carry?",
            live=True,
        ),
        PageEntry(
            "observe/incidents.py",
            "Incidents",
            "notification_important",
            "What went wrong, in which order, and what was done about it?",
        ),
        PageEntry("observe/patterns.py", "Patterns", "calendar_view_week", "When is it slow, and when busy?"),
        PageEntry("observe/cache.py", "Cache", "bolt", "What does the result cache save?"),
        PageEntry("observe/concurrency.py", "Concurrency", "alt_route", "What do parallel layers give?"),
    ),
    "Tune": (
        PageEntry(
            "tune/config.py", "Config", "tune", "What is in force, what is proposed, and why?", live=True
        ),
        PageEntry("tune/simulate.py", "Simulate", "science", "What happens under load?", live=True),
        PageEntry("tune/history.py", "History", "history", "What was changed, and did it help?"),
    ),
    "Data": (
        PageEntry("data/workloads.py", "Workloads", "dataset", "What is asked, and what comes back?"),
        PageEntry("data/system.py", "System", "dns", "Does everything run and arrive?", live=True),
    ),
}


PAGES = {entry.url: entry for section in SECTIONS.values() for entry in section}
"""All pages by their address."""


def page_file(url: str) -> str:
    """Return the path of a page's file by its address, for links.

    Examples:
        >>> page_file("config").endswith("config.py")
        True
    """
    return str(PAGES[url].path)
