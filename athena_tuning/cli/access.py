"""How commands reach the system: the dashboard's own service, attached to a store."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from athena_tuning.service.roles import Actor, Role

if TYPE_CHECKING:
    from athena_tuning.service.store_follower import Tail
    from athena_tuning.service.tuning_service import TuningService


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@contextmanager
def attached(store: str | None, *, hours: float = 24.0) -> Iterator[TuningService]:
    """Open the service over a store that managers in other processes share.

    Args:
        store: its URL; None: the default, which is made if it is missing.
        hours: how far back its window looks, once it is told to.
    """
    from athena_tuning.service.store_follower import Tail
    from athena_tuning.service.tuning_service import TuningService
    from athena_tuning.store import open_store

    opened = open_store(store, create=store is None)
    service = TuningService(opened, Tail(opened, hours=hours))
    try:
        yield service
    finally:
        service.close()


def read_records(tail: Tail, *, all_at_once: bool = False) -> None:
    """Read the newest records of a store, or all that the window reaches back to.

    Raises:
        click.ClickException: if the store cannot be read.
    """
    while True:
        tail.look()
        if tail.problem is not None:
            raise click.ClickException(tail.problem)
        if tail.caught_up or not all_at_once:
            return


def operator() -> Actor:
    """Return who is at this terminal: whoever may open the store may write to it."""
    return Actor(getpass.getuser(), Role.OPERATOR)


def instant(words: str, now: float, option: str) -> float:
    """Return the Unix seconds of a time in ISO 8601 (without an offset: here), or of so long ago.

    Args:
        words: "2026-01-31", "2026-01-31T09:30+01:00", "90s", "30m", "24h", "7d".
        now: Unix seconds.
        option: who says so, for the error.

    Raises:
        click.UsageError: if it is neither.

    Examples:
        >>> instant("2h", 10_000.0, "--since"), instant("1970-01-02T00:00Z", 0.0, "--since")
        (2800.0, 86400.0)
    """
    number, unit = words[:-1], words[-1:]
    try:
        if unit in _SECONDS:
            return now - float(number) * _SECONDS[unit]
        return datetime.fromisoformat(words).timestamp()
    except ValueError:
        raise click.UsageError(
            f"{option}: {words!r} is neither a time like 2026-01-31T09:30 nor a length like 90s, 30m, 24h, 7d"
        ) from None


def moment(unix_seconds: float) -> str:
    """Return date and time of day here, with the offset.

    Examples:
        >>> len(moment(0.0))
        25
    """
    return datetime.fromtimestamp(unix_seconds, UTC).astimezone().isoformat(sep=" ", timespec="seconds")
