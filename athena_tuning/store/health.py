"""What there is to say of a store beside what it holds: for the System page, ``store check`` and the log."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

logger = logging.getLogger(__name__)

_MOST = 1000


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """A row that is damaged, or that only a newer program understands; readers pass over it.

    Attributes:
        kind: "config version", "decision", "batch" of records or "roll-up".
        key: which one.
        why: what is wrong with it.
    """

    kind: str
    key: str
    why: str


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """How a store is, as this process has met it since it was opened here.

    Attributes:
        unreadable: rows that were passed over, the first 1000.
        config_watch: how a new config of another process is noticed, in words.
    """

    unreadable: tuple[UnreadableRow, ...] = ()
    config_watch: str = ""


class UnreadableRows:
    """The rows that were passed over here; each is logged once.

    Args:
        store: the store's name, for the log.
    """

    def __init__(self, store: str) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._rows: dict[tuple[str, str], UnreadableRow] = {}

    def add(self, kind: str, key: object, why: object) -> None:
        """Note a row."""
        row = UnreadableRow(kind, str(key), " ".join(str(why).split()))
        with self._lock:
            if (kind, row.key) in self._rows or len(self._rows) >= _MOST:
                return
            self._rows[kind, row.key] = row
        logger.warning(
            "%s: %s %s cannot be read and is passed over (%s); 'athena-tuning store check' lists what is"
            " damaged",
            self._store,
            kind,
            row.key,
            row.why,
        )

    def found(self) -> tuple[UnreadableRow, ...]:
        """Return what was noted so far, in order."""
        with self._lock:
            return tuple(self._rows.values())
