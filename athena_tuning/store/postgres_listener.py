"""Hears of new configs from PostgreSQL, and says so when it is deaf."""

from __future__ import annotations

import logging
import threading

from athena_tuning.extras import needs_extra

with needs_extra("postgres", "PostgreSQL"):
    import psycopg

from athena_tuning.store.postgres_connection import TimedConnection, connect

logger = logging.getLogger(__name__)

_CHECK_SECONDS = 1.0
_POLL_SECONDS = 0.05


class HeadListener:
    """Knows the newest config version without asking: a thread with its own connection listens for it.

    While the connection is down ``head`` is None, and its caller has to ask. Once a second the thread asks
    too, so that a lost message or a dead server is noticed. Behind a pooler, through which no message comes,
    it asks twenty times a second in place of listening.

    Args:
        conninfo: of the server.
        channel: what is notified with the version as payload.
        newest: the statement that asks for the newest version.
        pooled: whether a pooler stands before the server.
    """

    def __init__(self, conninfo: str, channel: str, newest: bytes, *, pooled: bool) -> None:
        self.channel = channel
        self.way = "not watched yet"
        self._conninfo = conninfo
        self._newest = newest
        self._pooled = pooled
        self._lock = threading.Lock()
        self._head = 0
        self._knows = False
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def head(self) -> int | None:
        """Return the newest version; None if that is not known. The first call starts the thread."""
        with self._lock:
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._serve, name="config-listener", daemon=True)
                self._thread.start()
            return self._head if self._knows else None

    def saw(self, head: int) -> None:
        """Note a version that somebody has seen."""
        with self._lock:
            self._head = max(self._head, head)

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
                self._knows = False
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
            for message in connection.notifies(timeout=_CHECK_SECONDS):
                self.saw(int(message.payload))
                if self._closing.is_set():
                    return

    def _ask(self, connection: TimedConnection) -> None:
        [(head,)] = connection.execute(self._newest).fetchall()
        self.saw(head)
        self._knows = True

    def _tell(self, way: str) -> None:
        """Say how new configs are noticed, if that is another way than before."""
        if way.partition("(")[0] != self.way.partition("(")[0]:
            logger.log(logging.WARNING if "broke" in way else logging.INFO, "new configs are %s", way)
        self.way = way
