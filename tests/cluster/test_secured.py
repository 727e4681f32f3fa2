"""A broker with TLS and a password: what reaches it, what does not, and what is said then."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from athena_tuning import MemoryManager
from athena_tuning.cluster import Address, BrokerAway, RecallCluster
from athena_tuning.cluster.broker import answers, find_server
from athena_tuning.testing.waiting import until
from tests.cluster.conftest import free_port
from tests.support.memory_layers import NOTES

pytestmark = pytest.mark.slow

PASSWORD = "s3cret-word"


@dataclass
class Secured:
    """A broker that wants TLS and a password.

    Attributes:
        place: host and port.
        certificate: of who signed the broker's.
    """

    place: str
    certificate: Path

    def url(self, who: str = f"ana:{PASSWORD}", scheme: str = "tls") -> str:
        return f"{scheme}://{who}@{self.place}/team"

    def run(self, *words: str, trusted: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "athena_tuning", *words],
            env=self.environment(trusted=trusted),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def environment(self, *, trusted: bool = True) -> dict[str, str]:
        environment = {**os.environ, "ATHENA_TUNING_HOME": str(self.certificate.parent / "home")}
        return environment | ({"SSL_CERT_FILE": str(self.certificate)} if trusted else {})


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    try:
        server = find_server()
    except FileNotFoundError as exc:
        pytest.skip(str(exc))
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    folder, port = tmp_path_factory.mktemp("secured"), free_port()
    certificate, key = folder / "broker.pem", folder / "broker.key"
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    files = ("-keyout", str(key), "-out", str(certificate))
    made = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, *files)
    subprocess.run([openssl, *made], check=True, capture_output=True)
    settings = folder / "nats.conf"
    settings.write_text(
        f'host: 127.0.0.1\nport: {port}\ntls {{ cert_file: "{certificate}", key_file: "{key}" }}\n'
        f'authorization {{ user: ana, password: "{PASSWORD}" }}\nlog_file: "{folder / "log"}"\n'
    )
    running = subprocess.Popen([server, "--config", str(settings)], stderr=subprocess.DEVNULL)
    try:
        until(lambda: answers(Address.parse(f"tls://127.0.0.1:{port}")))
        yield Secured(f"127.0.0.1:{port}", certificate)
    finally:
        running.terminate()
        running.wait()


def test_managers_join_and_are_asked_over_tls_with_a_password(secured: Secured, tmp_path: Path) -> None:
    memory = tmp_path / "memory.db"
    with MemoryManager(memory) as manager:
        manager.remember_many(NOTES)
    store = f"sqlite:///{tmp_path / 'store.db'}"
    words = ("cluster", "join", secured.url(), "--workers", "1", "--memory", str(memory), "--store", store)
    joined = subprocess.Popen(
        [sys.executable, "-m", "athena_tuning", *words],
        env=secured.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert joined.stdout is not None
        said = joined.stdout.readline()
        assert PASSWORD not in said
        until(
            lambda: len(json.loads(status.stdout)["members"]) == 1 if (status := _status(secured)) else 0, 60
        )
        found = secured.run("recall", "When did the billing deploy fail?", "--on", secured.url(), "--json")
        assert json.loads(found.stdout)["results"][0]["id"] == "e1", found.stderr
    finally:
        joined.terminate()
        joined.communicate(timeout=60)
    assert joined.returncode == 0


def _status(secured: Secured) -> subprocess.CompletedProcess[str] | None:
    ran = secured.run("cluster", "status", "--on", secured.url(), "--json")
    return ran if ran.returncode == 0 else None


@pytest.mark.parametrize(
    ("who", "scheme", "trusted", "says"),
    [
        ("ana:wrong-word", "tls", True, "Authorization"),
        (f"ana:{PASSWORD}", "tls", False, "certificate"),
        (f"ana:{PASSWORD}", "nats", False, "certificate"),
    ],
)
def test_who_is_not_let_in_is_told_why_and_no_password_is_shown(
    secured: Secured, who: str, scheme: str, trusted: bool, says: str
) -> None:
    ran = secured.run("recall", "x", "--on", secured.url(who, scheme), trusted=trusted)
    assert ran.returncode == 1
    assert says.casefold() in ran.stderr.casefold()
    assert secured.place in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "eof_received" not in ran.stderr
    assert who.partition(":")[2] not in ran.stdout + ran.stderr


def test_client_without_a_password_is_refused_with_the_brokers_words(
    secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(secured.certificate))
    with pytest.raises(BrokerAway, match="Authorization"):
        RecallCluster(f"tls://{secured.place}/team")
