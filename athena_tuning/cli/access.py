"""How commands reach the system: the dashboard's own service, attached to a store."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from athena_tuning import locations
from athena_tuning.ui.roles import Actor, Role

if TYPE_CHECKING:
    from athena_tuning.ui.service import TuningService


@contextmanager
def attached(store: str | None, *, hours: float = 24.0) -> Iterator[TuningService]:
    """Open the service over a store that managers in other processes share.

    Args:
        store: its URL; None: the default.
        hours: how far back its window looks, once it is told to.
    """
    from athena_tuning.store import open_store
    from athena_tuning.ui.service import TuningService
    from athena_tuning.ui.tail import Tail

    opened = open_store(store or locations.default_store_url())
    service = TuningService(opened, Tail(opened, hours=hours))
    try:
        yield service
    finally:
        service.close()


def operator() -> Actor:
    """Return who is at this terminal: whoever may open the store may write to it."""
    return Actor(getpass.getuser(), Role.OPERATOR)


def moment(unix_seconds: float) -> str:
    """Return date and time of day here, with the offset.

    Example:
        >>> len(moment(0.0))
        25
    """
    return datetime.fromtimestamp(unix_seconds, UTC).astimezone().isoformat(sep=" ", timespec="seconds")
