"""Routes of experiments: a config that is tried in turns with the one in force."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException

from athena_tuning.http.bodies import EndExperimentBody, ExperimentBody
from athena_tuning.http.config_routes import IfMatch, version_seen
from athena_tuning.http.state import Service
from athena_tuning.http.visitors import Visitor
from athena_tuning.model import TuningConfig
from athena_tuning.service.tuning_service import TuningService

router = APIRouter()


@router.get("/newest")
def newest(service: Service) -> dict[str, Any]:
    """The newest experiment: how it stands, or what came of it."""
    return _standing(service)


@router.post("", status_code=201, responses={412: {"description": "Another version is in force by now."}})
def start(body: ExperimentBody, service: Service, actor: Visitor, if_match: IfMatch = None) -> dict[str, Any]:
    """Try values in turns with those in force, which stay in force; If-Match is the version that was seen."""
    at = service.configs()
    before = (at.in_scope(body.scope) or at.default).config
    service.start_experiment(
        actor,
        TuningConfig.from_dict({**before.to_dict(), **body.config}),
        expected_version=None if if_match is None else version_seen(if_match),
        reason=body.reason,
        scope=body.scope,
        seconds=body.seconds,
    )
    return _standing(service)


@router.post("/end")
def end(body: EndExperimentBody, service: Service, actor: Visitor) -> dict[str, Any]:
    """End the experiment that runs; what is in force stays in force."""
    service.end_experiment(actor, reason=body.reason)
    return _standing(service)


def _standing(service: TuningService) -> dict[str, Any]:
    standing = service.experiment()
    if standing is None:
        raise HTTPException(404, "nothing was tried yet")
    return standing.to_dict(service.now)
