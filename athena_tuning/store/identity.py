"""Which store this is, and how often its content was replaced under those who use it.

A file can be deleted, overwritten or put back from a backup while managers run on it, a database restored
from a dump. Then the numbers of config versions begin again, and whoever only compares them would never obey
again. So a store has an id, and an epoch: whoever notices that the content is another or an earlier one moves
the epoch on. Within an epoch versions only grow; what has a higher epoch is newer whatever its version.
"""

from __future__ import annotations

import uuid
from dataclasses import astuple
from typing import NamedTuple

from athena_tuning.store.database import Transaction
from athena_tuning.store.health import StoreEvent

POSITION = "store_id, epoch, (SELECT coalesce(max(version), 0) FROM main.config_versions)"
"""What to select from ``main.identity`` for a ``Position``."""

REPLACED = {
    "deleted": "the file was deleted while in use; a new one was made, and what the old one held is lost",
    "replaced": "another file was put in its place while in use; what it holds is obeyed now",
    "overwritten": "the file was overwritten while in use; what it holds now is obeyed",
    "restored": "its content is another or an earlier one than before; what it holds now is obeyed",
}
"""What can happen to a store's content, in words."""


class Position(NamedTuple):
    """Where a store is.

    Attributes:
        store_id: which store it is.
        epoch: how often its content was replaced.
        head: the newest config version; 0 for none.
    """

    store_id: str
    epoch: int
    head: int

    @property
    def token(self) -> str:
        """A value that differs whenever configs may have changed."""
        return f"{self.epoch}.{self.head}"

    def follows(self, earlier: Position) -> bool:
        """Return whether a store can have come here from there without its content being replaced.

        Also if it was replaced and that is noted in the epoch.

        Examples:
            >>> before = Position("a", 0, 5)
            >>> Position("a", 0, 7).follows(before), Position("a", 0, 3).follows(before)
            (True, False)
            >>> Position("b", 1, 0).follows(before)
            True
        """
        if self.epoch != earlier.epoch:
            return self.epoch > earlier.epoch
        return self.store_id == earlier.store_id and self.head >= earlier.head


def identify(transaction: Transaction) -> None:
    """Give a store an id if it has none."""
    transaction.run(
        "INSERT INTO main.identity (one, store_id, epoch) VALUES (1, ?, 0) ON CONFLICT DO NOTHING",
        (uuid.uuid4().hex,),
    )


def begin_epoch(transaction: Transaction, after: Position, what: str, now: float) -> Position:
    """Note that the content was replaced, unless somebody else who noticed it was first.

    Who notices that a file was deleted or overwritten puts another one in its place. Others may take that
    for a replacement, and be first to say so: then it is called by its right name.

    Args:
        transaction: under the lock on configs.
        after: where the store was before.
        what: one of ``REPLACED``.
        now: Unix seconds.

    Returns:
        Where it is now.
    """
    [row] = transaction.execute(f"SELECT {POSITION} FROM main.identity")
    here = Position(*row)
    if here.epoch > after.epoch or (what == "restored" and here.follows(after)):
        if what in {"deleted", "overwritten"}:
            transaction.run(
                "UPDATE main.events SET kind = ?, text = ? WHERE kind = 'replaced'"
                " AND time = (SELECT max(time) FROM main.events)",
                (what, REPLACED[what]),
            )
        return here
    return next_epoch(transaction, after.epoch, StoreEvent(now, what, REPLACED[what]))


def next_epoch(transaction: Transaction, epoch: int, event: StoreEvent) -> Position:
    """Move the epoch on, beyond ``epoch`` and beyond what the content says; return where the store is now."""
    [row] = transaction.execute(f"SELECT {POSITION} FROM main.identity")
    here = Position(*row)
    here = here._replace(epoch=max(here.epoch, epoch) + 1)
    transaction.run("UPDATE main.identity SET epoch = ?", (here.epoch,))
    transaction.run("INSERT INTO main.events (time, kind, text) VALUES (?,?,?)", astuple(event))
    return here
