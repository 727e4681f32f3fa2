"""A real manager over a small memory, a real store, and the dashboard's service over both."""

from tests.support.dashboard import home, memory, sample_memory, service

__all__ = ["home", "memory", "sample_memory", "service"]
