"""Waiting for something that another thread or process does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


def until(holds: Callable[[], object], seconds: float = 30.0) -> float:
    """Wait until ``holds()`` is true, fail if it does not come, and return how long it took in seconds."""
    pause = threading.Event()
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"it did not come within {seconds:g} s"
        pause.wait(0.01)
    return time.monotonic() - began
