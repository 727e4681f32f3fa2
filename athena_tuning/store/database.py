"""What the SQL store needs of a database: rows, transactions, errors in our words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Row = tuple[Any, ...]


class Transaction(Protocol):
    """What one may do inside a transaction.

    A statement has ``main.`` before the name of each table and ``?`` for each value, as SQLite wants them.
    """

    def execute(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Run one statement with ``?`` for values; return its rows."""

    def run(self, sql: str, values: Sequence[Any] = ()) -> None:
        """Run one statement; an error may show only at the end of the transaction."""

    def run_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run one statement for each row of values, likewise."""


class Database(ABC):
    """Connections to one database. All methods may be called from any thread; all raise ``StoreError``."""

    name: str
    """What a person knows the database by; no password in it."""

    @property
    def config_watch(self) -> str:
        """How a new config of another process is noticed here, as the end of a sentence."""
        return "found at every look at the file"

    @abstractmethod
    def read(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return all rows of a query."""

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[Transaction]:
        """Give a reading transaction, in which all queries see the same moment."""

    @abstractmethod
    def write(self, lock: str | None = None) -> AbstractContextManager[Transaction]:
        """Give a transaction, committed at the end, undone by an exception.

        Args:
            lock: transactions that name the same lock run one after the other.
        """

    @abstractmethod
    def now(self) -> float:
        """Return Unix seconds by the one clock that all users of the database share."""

    @abstractmethod
    def announce(self, transaction: Transaction, head: int) -> None:
        """Tell other processes, when the transaction commits, that configs changed to version ``head``."""

    @abstractmethod
    def config_head(self) -> int:
        """Return the newest config version, cheaply; 0 for none."""

    @abstractmethod
    def close(self) -> None:
        """Release everything; may be called twice."""
