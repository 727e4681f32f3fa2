"""Waiting in tests: for something that another thread or process does."""

from athena_tuning.testing.waiting import until

__all__ = ["until"]
