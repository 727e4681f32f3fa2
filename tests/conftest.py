"""What holds for all tests: a property is about what comes out, never about how long it took."""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("unhurried", parent=settings.default, deadline=None)
settings.register_profile("quick", parent=settings.default, deadline=None, max_examples=20)
settings.load_profile("unhurried")

NOT_QUICK = {"slow", "soak", "browser"}
SERVERS = {"postgres", "old_postgres", "pgbouncer", "postgres_url", "old_postgres_url", "pgbouncer_url"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as quick what is not marked as slow and needs neither a server nor a browser."""
    for item in items:
        chosen = item.callspec.params.values() if hasattr(item, "callspec") else ()
        needs = {*getattr(item, "fixturenames", ()), *(name for name in chosen if isinstance(name, str))}
        if not (NOT_QUICK & {mark.name for mark in item.iter_markers()} or SERVERS & needs):
            item.add_marker(pytest.mark.quick)
