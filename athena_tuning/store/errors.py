"""What can go wrong with a store, in words that name the store and the way out."""

from __future__ import annotations

from athena_tuning.model import ConfigVersion, TuningConfig


class StoreError(Exception):
    """The store cannot do what was asked; the message names the store and the way out."""


class LeaseLost(StoreError):
    """Somebody else has the lease under which something was to be written: nothing was."""


class ConfigConflict(StoreError):
    """Somebody else wrote first.

    Attributes:
        expected: the version that the writer had seen.
        current: the version that is really in force for that scope (None: none yet).
        proposed: what the writer wanted.
        scope: "all" or a query type.
    """

    def __init__(
        self, expected: int, current: ConfigVersion | None, proposed: TuningConfig, scope: str = "all"
    ) -> None:
        at = f"{current.version} by {current.author}" if current else "0"
        where = "" if scope == "all" else f" for {scope}"
        super().__init__(
            f"based on version {expected}, but version {at} is in force{where}: look at it and apply again"
        )
        self.expected = expected
        self.current = current
        self.proposed = proposed
        self.scope = scope
