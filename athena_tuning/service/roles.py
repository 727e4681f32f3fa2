"""Who may do what: viewers look, operators also write. The service asks before every write."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What somebody may do."""

    VIEWER = "viewer"
    OPERATOR = "operator"


class NotAllowed(Exception):
    """The write was refused; nothing changed. The message says what is missing."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who uses the service; the name goes into the audit trail."""

    name: str
    role: Role

    def must_be_operator(self, what: str) -> None:
        """Refuse a viewer.

        Raises:
            NotAllowed: if this is not an operator.

        Example:
            >>> Actor("ana", Role.OPERATOR).must_be_operator("apply a config")
        """
        if self.role is not Role.OPERATOR:
            raise NotAllowed(f"{self.name} may look but not {what}: that needs the operator role")


def actor_from(
    claims: Mapping[str, object] | None,
    *,
    sign_in: bool,
    loopback: bool,
    environ: Mapping[str, str] = os.environ,
) -> Actor:
    """Return who is at the page.

    With sign-in configured, people named in ``ATHENA_TUNING_OPERATORS`` (e-mail addresses, comma between
    them) are operators and everybody else is a viewer. Without sign-in there is nobody to tell apart:
    operator on this machine only, viewer for any other. ``ATHENA_TUNING_ROLE=viewer`` makes everybody a
    viewer.

    Args:
        claims: what the sign-in says of the person; None without one.
        sign_in: whether sign-in is configured.
        loopback: whether the app listens on this machine only.
        environ: the settings.

    Example:
        >>> actor_from(None, sign_in=False, loopback=True, environ={}).role.value
        'operator'
        >>> actor_from(None, sign_in=False, loopback=False, environ={}).role.value
        'viewer'
    """
    email = str((claims or {}).get("email") or "").strip().lower()
    operators = {name.strip().lower() for name in environ.get("ATHENA_TUNING_OPERATORS", "").split(",")}
    if sign_in:
        verified = (claims or {}).get("email_verified", True) is not False
        may = bool(email) and verified and email in operators
        name = email or "visitor"
    else:
        may, name = loopback, "operator" if loopback else "visitor"
    if environ.get("ATHENA_TUNING_ROLE") == Role.VIEWER:
        may, name = False, name if sign_in else "viewer"
    return Actor(name, Role.OPERATOR if may else Role.VIEWER)
