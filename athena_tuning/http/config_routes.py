"""Routes of the configs. A writer says which version it saw, in ``If-Match``."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, HTTPException, Response

from athena_tuning.http.bodies import ConfigBody, RollBackBody, StrategyBody
from athena_tuning.http.state import Service
from athena_tuning.http.visitors import Visitor
from athena_tuning.model import ConfigVersion, TuningConfig

router = APIRouter()

IfMatch = Annotated[
    str | None, Header(description='The version that the writer saw, such as "7"; "0" for none.')
]


@router.get("")
def configs(service: Service) -> dict[str, Any]:
    """The configs in force: for all types, and the exceptions by type."""
    at = service.configs()
    by_type = {query_type: version.to_dict() for query_type, version in at.by_type.items()}
    return {"all": at.default.to_dict(), "by_type": by_type}


@router.get("/history")
def history(service: Service, limit: int = 200, scope: str | None = None) -> list[dict[str, Any]]:
    """Versions, newest first."""
    return [version.to_dict() for version in service.history(limit, scope)]


@router.post("/strategy")
def strategy(body: StrategyBody, service: Service, actor: Visitor) -> list[dict[str, Any]]:
    """Switch the strategy for all types, with the values that it asks for."""
    written = service.switch_strategy(actor, body.strategy, expected_version=None, reason=body.reason)
    return [version.to_dict() for version in written]


@router.post("/rollback")
def roll_back(body: RollBackBody, service: Service, actor: Visitor) -> dict[str, Any]:
    """Put an earlier version in force again."""
    return service.roll_back(actor, body.version, expected_version=None, reason=body.reason).to_dict()


@router.post("/undo")
def undo(service: Service, actor: Visitor) -> list[dict[str, Any]]:
    """Take back the newest change; its reason says which."""
    return [version.to_dict() for version in service.undo(actor, expected_version=None)]


@router.get("/{scope}")
def config(scope: str, service: Service, response: Response) -> dict[str, Any]:
    """The version in force for "all" or a query type; its number is the entity tag."""
    in_force = service.configs().in_scope(scope)
    if in_force is None:
        raise HTTPException(404, f'{scope!r} has no config of its own: it runs under that of "all"')
    return _tagged(in_force, response)


@router.put("/{scope}", responses={412: {"description": "Another version is in force by now."}})
def apply(
    scope: str,
    body: ConfigBody,
    service: Service,
    actor: Visitor,
    response: Response,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    """Put values in force for "all" or a query type, if the version that the writer saw still is."""
    seen = version_seen(if_match)
    at = service.configs()
    before = (at.in_scope(scope) or at.default).config
    values = TuningConfig.from_dict({**before.to_dict(), **body.config})
    written = service.apply(
        actor, values, expected_version=seen, reason=body.reason, scope=scope, mode=body.mode
    )
    return _tagged(written, response)


def version_seen(if_match: str | None) -> int:
    """Return the version in an ``If-Match`` header."""
    if if_match is None:
        raise HTTPException(428, 'say which version you saw: If-Match: "7", as GET gives it under ETag')
    digits = if_match.strip().strip('"')
    if not digits.isdigit():
        raise HTTPException(422, f'If-Match is {if_match}: it is to be a version such as "7"')
    return int(digits)


def _tagged(version: ConfigVersion, response: Response) -> dict[str, Any]:
    response.headers["ETag"] = f'"{version.version}"'
    return version.to_dict()
