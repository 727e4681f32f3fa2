"""The entry of the dashboard: what it sets before the first visitor comes."""

from __future__ import annotations

import runpy
import socket

from athena_tuning.locations import dashboard


def test_whoever_connects_gets_messages_at_once() -> None:
    """Two small messages in a row would wait 40 ms for each other, at every refresh of every page."""
    send_at_once = runpy.run_path(str(dashboard() / "app.py"))["send_at_once"]
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as bound, socket.socket() as client:
        bound.bind(("127.0.0.1", 0))
        send_at_once()
        bound.listen()
        client.connect(bound.getsockname())
        accepted, _ = bound.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
