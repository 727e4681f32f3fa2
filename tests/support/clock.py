"""A clock that tests move."""

from __future__ import annotations

from athena_tuning.testing.clock import Clock

__all__ = ["Clock"]
