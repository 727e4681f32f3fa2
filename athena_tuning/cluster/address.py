"""Where a cluster is: the brokers that carry it, its name, and the subjects on which it is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

DEFAULT_NAME = "main"
DEFAULT_PORT = 4222

_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


@dataclass(frozen=True, slots=True)
class Address:
    """A cluster's address.

    Attributes:
        servers: URLs of brokers, any of which will do.
        name: of the cluster; several may share a broker.

    Examples:
        >>> Address.parse("nats://10.0.0.7/team-a")
        Address(servers=('nats://10.0.0.7:4222',), name='team-a')
        >>> Address.parse("nats://a:4222,b:4223").servers
        ('nats://a:4222', 'nats://b:4223')
    """

    servers: tuple[str, ...]
    name: str = DEFAULT_NAME

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read ``nats://HOST:PORT[,HOST:PORT][/NAME]``; ``tls://`` where the broker wants it.

        Raises:
            ValueError: if it is none; the message says what is wrong.
        """
        scheme, separator, rest = url.partition("://")
        hosts, _, name = rest.rstrip("/").partition("/")
        if not separator or scheme not in ("nats", "tls") or not hosts:
            raise ValueError(f"{url!r:.200} is no cluster: nats://HOST:PORT, or tls://…, and /NAME behind it")
        name = name or DEFAULT_NAME
        if not _NAME.fullmatch(name):
            raise ValueError(f"a cluster's name is up to 40 letters, digits, - and _, not {name!r:.80}")
        return cls(tuple(_server(scheme, host, url) for host in hosts.split(",")), name)

    @property
    def shown(self) -> str:
        """The address without passwords."""
        hosts = ",".join(server.partition("://")[2].rpartition("@")[2] for server in self.servers)
        return f"{self.servers[0].partition('://')[0]}://{hosts}/{self.name}"

    @property
    def service(self) -> str:
        """Name of the managers' service, for discovery."""
        return f"athena-tuning-{self.name}"

    @property
    def supervisors(self) -> str:
        """Name of the service of those that start managers."""
        return f"athena-tuning-supervisor-{self.name}"

    @property
    def recall(self) -> str:
        """Subject on which whoever is free answers a recall."""
        return f"athena.{self.name}.recall"

    @property
    def ask(self) -> str:
        """Subject on which whoever is free does anything else."""
        return f"athena.{self.name}.ask"

    @property
    def settle(self) -> str:
        """Subject on which all are told which of several tries at a recall counts."""
        return f"athena.{self.name}.settle"

    @property
    def configs(self) -> str:
        """Subject on which all are told that configs have changed."""
        return f"athena.{self.name}.configs"

    def of(self, member: str, what: str) -> str:
        """Return the subject on which one member, by its id, is asked."""
        return f"athena.{self.name}.member.{member}.{what}"


def _server(scheme: str, host: str, url: str) -> str:
    try:
        parts = urlsplit(f"{scheme}://{host.partition('://')[2] or host}")
        port = parts.port or DEFAULT_PORT
    except ValueError as exc:
        raise ValueError(f"{url!r:.200} is no cluster: {exc}") from exc
    if not parts.hostname:
        raise ValueError(f"{url!r:.200} is no cluster: a host is missing")
    who = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{scheme}://{who}{name}:{port}"
