"""Hears of new configs from PostgreSQL, and says so when it is deaf."""

from __future__ import annotations

import logging
import threading

from athena_tuning.extras import needs_extra

with needs_extra("postgres", "PostgreSQL"):
    import psycopg

logger = logging.getLogger(__name__)

_CHECK_SECONDS = 1.0


class HeadListener:
    """Knows the newest config version without asking: a thread with its own connection listens for it.

    While the connection is down ``head`` is None, and its caller has to ask. Once a second the thread asks
    too, so that a lost message or a dead server is noticed.

    Args:
        conninfo: of the server.
        channel: what is notified with the version as payload.
    """

    def __init__(self, conninfo: str, channel: str) -> None:
        self.channel = channel
        self._conninfo = conninfo
        self._lock = threading.Lock()
        self._head = 0
        self._hears = False
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def head(self) -> int | None:
        """Return the newest version; None if that is not known. The first call starts the thread."""
        with self._lock:
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._serve, name="config-listener", daemon=True)
                self._thread.start()
            return self._head if self._hears else None

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
                with psycopg.connect(self._conninfo, autocommit=True) as connection:
                    connection.execute(f'LISTEN "{self.channel}"'.encode())
                    pause = 0.1
                    self._listen(connection)
            except psycopg.Error as exc:
                logger.warning("configs are polled, because the listening connection broke: %s", exc)
            finally:
                self._hears = False
            self._closing.wait(pause)
            pause = min(2 * pause, 5.0)

    def _listen(self, connection: psycopg.Connection[tuple[int]]) -> None:
        while not self._closing.is_set():
            [(head,)] = connection.execute("SELECT coalesce(max(version), 0) FROM config_versions").fetchall()
            self.saw(head)
            self._hears = True
            for message in connection.notifies(timeout=_CHECK_SECONDS):
                self.saw(int(message.payload))
                if self._closing.is_set():
                    return
