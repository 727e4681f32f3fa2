"""Who sends a request, and what that lets them do: the roles of the pages, by token."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from fastapi import Depends, HTTPException, Request

from athena_tuning.service.access import (
    HOSTS_SETTING,
    host_name,
    is_known_host,
    is_local_request,
)
from athena_tuning.service.roles import Actor, actor_from

_BEARER = "bearer "


def visitor(request: Request) -> Actor:
    """Return who sends a request.

    Whoever is surely on this machine is an operator, and so is whoever knows the token
    (``Authorization: Bearer …``); everybody else may look only. A token that is wrong is told, so that nobody
    takes a mistake for a lack of rights. A web page may not write, whatever machine its reader is on.
    """
    headers = request.headers
    if not is_known_host(headers.get("host")):
        name = host_name(headers.get("host"))
        raise HTTPException(
            421, f"this server does not answer to {name!r}; {HOSTS_SETTING} lists further names"
        )
    if request.method != "GET" and headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise HTTPException(403, "a page of another site may not write here")
    authorization = headers.get("authorization", "")
    given = authorization[len(_BEARER) :] if authorization.lower().startswith(_BEARER) else ""
    admitted = bool(given) and request.app.state.token.opens(given)
    if authorization and not admitted:
        raise HTTPException(401, "the token is not the one of this server", {"WWW-Authenticate": "Bearer"})
    return actor_from(
        None, sign_in=False, local=is_local_request(headers) and _is_loopback(request), admitted=admitted
    )


Visitor = Annotated[Actor, Depends(visitor)]
"""The parameter of a route that wants to know."""


def _is_loopback(request: Request) -> bool:
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
