"""What an examination says of a PostgreSQL server."""

from __future__ import annotations

from collections.abc import Sequence

from athena_tuning.store.database import Row
from athena_tuning.store.findings import Finding, act, advice, good

_APART_SECONDS, _FAR_APART_SECONDS = 1.0, 60.0
"""From the second on records are refused as lying ahead."""


def pooler(pooled: bool, config_watch: str) -> Finding:
    """Say whether a pooler stands before the server, and how new configs are noticed."""
    answer = "a pooler stands before the server" if pooled else "no pooler stands before the server"
    return good("pooler", f"{answer}; new configs are {config_watch}")


def privileges(schema: str, tables: Sequence[Row]) -> Finding:
    """Say what this user may do.

    Args:
        schema: holds the tables.
        tables: of each its name, whether this user may read it, and whether it may write it.
    """
    unread = [name for name, reads, _ in tables if not reads]
    unwritten = [name for name, _, writes in tables if not writes]
    if unread:
        return act(
            "privileges",
            f"this user may not read {', '.join(unread)} in {schema}",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} (docs/stores.md)",
        )
    if unwritten:
        return advice(
            "privileges",
            f"this user may read, but not write {', '.join(unwritten)} in {schema}: enough to look on",
            f"for a manager: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema}",
        )
    return good("privileges", f"this user may read and write all {len(tables)} tables in {schema}")


def clock(ahead: float) -> Finding:
    """Say whether the server's clock agrees with ours.

    Examples:
        >>> clock(0.02).verdict.value, clock(-7.0).verdict.value, clock(3600.0).verdict.value
        ('good', 'advice', 'act')
    """
    if abs(ahead) < _APART_SECONDS:
        return good("clock", "the server's clock agrees with this machine's")
    words = f"the server's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    remedy = "let both follow the same time service (NTP)"
    return act("clock", words, remedy) if abs(ahead) >= _FAR_APART_SECONDS else advice("clock", words, remedy)
