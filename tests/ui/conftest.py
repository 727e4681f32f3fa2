"""A real manager over a small memory, a real store, and the dashboard's service over both."""

from tests.support.dashboard import home, memory, sample_memory, service
from tests.support.pages import attached, served

__all__ = ["attached", "home", "memory", "sample_memory", "served", "service"]
