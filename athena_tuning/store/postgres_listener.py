"""Hears of new configs from PostgreSQL, and says so when it is deaf."""

from __future__ import annotations

import logging
import threading

from athena_tuning.extras import needs_extra

with needs_extra("postgres", "PostgreSQL"):
    import psycopg

from athena_tuning.store.database import Row
from athena_tuning.store.postgres_connection import TimedConnection, connect

logger = logging.getLogger(__name__)

_CHECK_SECONDS = 1.0
_POLL_SECONDS = 0.05


class PositionListener:
    """Knows the store's position without asking: a thread with its own connection listens for changes.

    While the connection is down ``position`` is None, and its caller has to ask. Once a second the thread
    asks too, so that a lost message or a dead server is noticed. Behind a pooler, through which no message
    comes, it asks twenty times a second in place of listening.

    Args:
        conninfo: of the server.
        channel: what is notified of each change of configs.
        question: the statement that asks for the position.
        pooled: whether a pooler stands before the server.
    """

    def __init__(self, conninfo: str, channel: str, question: bytes, *, pooled: bool) -> None:
        self.channel = channel
        self.way = "not watched yet"
        self._conninfo = conninfo
        self._question = question
        self._pooled = pooled
        self._lock = threading.Lock()
        self._position: Row | None = None
        self._writes = 0
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def position(self) -> Row | None:
        """Return the position; None if it is not known. The first call starts the thread."""
        with self._lock:
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._serve, name="config-listener", daemon=True)
                self._thread.start()
            return self._position

    def wrote(self, head: int) -> None:
        """Note a version that was written here: an answer that is on its way may be older."""
        with self._lock:
            self._writes += 1
            if self._position is not None:
                self._position = _ahead(self._position, head)

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(2 * _CHECK_SECONDS)

    def _serve(self) -> None:
        pause = 0.1
        while not self._closing.is_set():
            try:
                with connect(self._conninfo) as connection:
                    pause = 0.1
                    self._watch(connection)
            except psycopg.Error as exc:
                self._tell(f"asked for at every look, because the listening connection broke ({exc})")
            finally:
                self._position = None
            self._closing.wait(pause)
            pause = min(2 * pause, 5.0)

    def _watch(self, connection: TimedConnection) -> None:
        if self._pooled:
            self._tell(
                f"asked for every {_POLL_SECONDS * 1000:g} ms: no message of the server comes through the"
                " pooler (PgBouncer) before it"
            )
            while not self._closing.wait(_POLL_SECONDS):
                self._ask(connection)
            return
        connection.execute(f'LISTEN "{self.channel}"'.encode())
        self._tell("heard of at once")
        while not self._closing.is_set():
            self._ask(connection)
            for _ in connection.notifies(timeout=_CHECK_SECONDS, stop_after=1):
                pass  # whatever it was, the position is asked for

    def _ask(self, connection: TimedConnection) -> None:
        writes = self._writes
        [position] = connection.execute(self._question).fetchall()
        with self._lock:
            if self._writes != writes and self._position is not None:
                position = _ahead(position, self._position[-1])
            self._position = position

    def _tell(self, way: str) -> None:
        """Say how new configs are noticed, if that is another way than before."""
        if way.partition("(")[0] != self.way.partition("(")[0]:
            logger.log(logging.WARNING if "broke" in way else logging.INFO, "new configs are %s", way)
        self.way = way


def _ahead(position: Row, head: int) -> Row:
    """Return a position whose newest version is at least ``head``."""
    return (*position[:-1], max(position[-1], head))
