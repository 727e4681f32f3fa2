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
    local: bool,
    admitted: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> Actor:
    """Return who is at the page.

    With sign-in configured, people named in ``ATHENA_TUNING_OPERATORS`` (e-mail addresses, comma between
    them) are operators and everybody else is a viewer. Without it a visitor on this machine is an operator.
    From elsewhere the operator's link makes one; everybody else is a viewer. ``ATHENA_TUNING_ROLE=viewer``
    makes everybody a viewer.

    Args:
        claims: what the sign-in says of the person; None without one.
        sign_in: whether sign-in is configured.
        local: whether the visitor is surely on this machine.
        admitted: whether the visitor came by the operator's link (``access.OperatorToken``).
        environ: the settings.

    Example:
        >>> actor_from(None, sign_in=False, local=True, environ={}).role.value
        'operator'
        >>> actor_from(None, sign_in=False, local=False, environ={}).role.value
        'viewer'
    """
    email = str((claims or {}).get("email") or "").strip().lower()
    operators = {name.strip().lower() for name in environ.get("ATHENA_TUNING_OPERATORS", "").split(",")}
    if sign_in:
        verified = (claims or {}).get("email_verified", True) is not False
        may = admitted or (bool(email) and verified and email in operators)
        name = email or ("operator" if admitted else "visitor")
    else:
        may = local or admitted
        name = "operator" if may else "visitor"
    if environ.get("ATHENA_TUNING_ROLE") == Role.VIEWER:
        may, name = False, name if sign_in else "viewer"
    return Actor(name, Role.OPERATOR if may else Role.VIEWER)
