"""What holds for all tests: a property is about what comes out, never about how long it took."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unhurried", parent=settings.default, deadline=None)
settings.load_profile("unhurried")
