"""A real broker for the tests of clusters; they skip where there is no ``nats-server``."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("nats", reason="no cluster: nats-py is missing")

from athena_tuning.cluster.address import Address
from athena_tuning.cluster.broker import Broker, find_server


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the URL of a broker, one for all tests of this process."""
    try:
        find_server()
    except FileNotFoundError as exc:
        pytest.skip(str(exc))
    url = f"nats://127.0.0.1:{free_port()}"
    with Broker(Address.parse(url), tmp_path_factory.mktemp("broker")):
        yield url


@pytest.fixture
def url(broker: str) -> str:
    """Give the URL of a cluster that is this test's own."""
    return f"{broker}/{uuid.uuid4().hex}"


@pytest.fixture
def free_url() -> str:
    """Give a URL where nobody listens yet."""
    return f"nats://127.0.0.1:{free_port()}"


@pytest.fixture
def own_broker(broker: str, tmp_path: Path) -> Iterator[tuple[str, Broker]]:
    """Give a broker that this test may kill, and its URL."""
    url = f"nats://127.0.0.1:{free_port()}"
    with Broker(Address.parse(url), tmp_path / "broker") as own:
        yield url, own
