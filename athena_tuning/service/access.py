"""Who may come in: which names the app answers to, and which link makes an operator."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import secrets
from collections.abc import Mapping
from urllib.parse import urlsplit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
HOSTS_SETTING = "ATHENA_TUNING_HOSTS"
TOKEN_SETTING = "ATHENA_TUNING_OPERATOR_TOKEN"  # noqa: S105 (the setting's name)
COOKIE = "athena_tuning_operator"

_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
_SHORTEST_TOKEN = 16


def host_name(header: str | None) -> str:
    """Return the name in a ``Host`` header, in small letters; "" if there is none.

    Example:
        >>> host_name("Athena.example:8501"), host_name("[::1]:8501"), host_name("a b"), host_name(None)
        ('athena.example', '::1', '', '')
    """
    if not header or any(sign in header for sign in " /@?#"):
        return ""
    try:
        return (urlsplit(f"//{header}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def is_known_host(header: str | None, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the app answers to the name in a ``Host`` header.

    A web page that rebinds a name of its own to this machine (DNS rebinding) sends that name. So names are
    answered only where they are loopback's or listed in ``ATHENA_TUNING_HOSTS`` (a comma between them; "*"
    for any); an address in figures cannot be rebound and is always answered.

    Example:
        >>> is_known_host("localhost:8501", {}), is_known_host("10.0.0.7:8501", {})
        (True, True)
        >>> is_known_host("evil.example", {}), is_known_host("a.b", {"ATHENA_TUNING_HOSTS": "a.b"})
        (False, True)
    """
    name = host_name(header)
    allowed = {entry.strip().lower() for entry in environ.get(HOSTS_SETTING, "").split(",")} - {""}
    return bool(name) and ("*" in allowed or name in allowed or name in LOOPBACK or _is_address(name))


def is_local_request(headers: Mapping[str, str]) -> bool:
    """Whether a request says that it was made on this machine and did not pass a proxy.

    Args:
        headers: of the request; names in any case.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    return host_name(lowered.get("host")) in LOOPBACK and not any(name in lowered for name in _FORWARDED)


class OperatorToken:
    """What makes an operator of a visitor from elsewhere: a secret in a link, kept in a cookie afterwards.

    Args:
        environ: ``ATHENA_TUNING_OPERATOR_TOKEN`` sets the secret; without it each start makes a new one.

    Raises:
        ValueError: if the secret that is set is shorter than 16 characters.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        given = environ.get(TOKEN_SETTING, "")
        if given and len(given) < _SHORTEST_TOKEN:
            raise ValueError(f"{TOKEN_SETTING} must have {_SHORTEST_TOKEN} characters or more")
        self._secret = given or secrets.token_urlsafe(24)

    @property
    def query(self) -> str:
        """The address below the app's that makes an operator."""
        return f"operator?token={self._secret}"

    @property
    def cookie(self) -> str:
        """What a browser keeps: it proves that the secret was known and does not tell it."""
        return hashlib.sha256(f"{COOKIE}:{self._secret}".encode()).hexdigest()

    def opens(self, token: str) -> bool:
        """Whether this is the secret; takes as long for a wrong one as for the right one."""
        return hmac.compare_digest(token.encode(), self._secret.encode())

    def admits(self, cookie: str | None) -> bool:
        """Whether this cookie was given by ``cookie``."""
        return hmac.compare_digest((cookie or "").encode(), self.cookie.encode())


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
