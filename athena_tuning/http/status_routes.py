"""Routes that tell how things are: to people and programs, and to what watches the server."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from athena_tuning.http.state import Manager, Metrics, Service
from athena_tuning.service.plain_json import without_nan

router = APIRouter()
watch = APIRouter()


@router.get("/status")
def status(service: Service) -> Any:
    """Strategy, mode, version, managers, and the latency of the last hours."""
    return without_nan({"standing": asdict(service.standing()), "recent": asdict(service.window.summary())})


@router.get("/workers")
def workers(service: Service) -> list[dict[str, Any]]:
    """The managers that share the store."""
    return [{**worker.to_dict(), "alive": service.is_alive(worker)} for worker in service.workers()]


@router.get("/limit")
def limit(service: Service) -> Any:
    """What the limit speaks of, each manager's share of it, and whether managers slow each other down."""
    return without_nan(service.fleet_limit().to_dict())


@router.get("/layers")
def layers(service: Service) -> Any:
    """The health of each layer, by manager."""
    health = service.layer_health()
    return without_nan({worker: [layer.to_dict() for layer in own] for worker, own in health.items()})


@router.get("/decisions")
def decisions(service: Service, limit: int = 200) -> Any:
    """What the tuner decided and why, newest first."""
    return without_nan([decision.to_dict() for decision in service.decisions(limit)])


@watch.get("/healthz", response_class=PlainTextResponse)
def healthz() -> str:
    """Whether the process answers."""
    return "ok"


@watch.get("/readyz", responses={503: {"description": "The store cannot be reached."}})
def readyz(service: Service, manager: Manager, response: Response) -> dict[str, Any]:
    """Whether the store can be reached. Recalls are answered without it too, measured but not shared."""
    service.tail.look()
    problem = service.tail.problem
    response.status_code = 503 if problem else 200
    return {"ready": not problem, "problem": problem, "layers": list(manager.layers)}


@watch.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses={404: {"description": "Nothing is measured here: a cluster answers."}},
)
def metrics(exposition: Metrics) -> Response:
    """What the manager measured, as Prometheus reads it."""
    if exposition is None:
        why = "a cluster answers for this server: ask its managers (athena-tuning manager --metrics-port)"
        return PlainTextResponse(why, 404)
    return Response(exposition.text(), media_type=exposition.content_type)
