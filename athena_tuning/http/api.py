"""The application: its routes, and what holds for all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import Depends, FastAPI
from fastapi.concurrency import run_in_threadpool

from athena_tuning.http import config_routes, experiment_routes, memory_routes, status_routes
from athena_tuning.http.body_limit import BodyLimit
from athena_tuning.http.errors import answer_failures
from athena_tuning.http.visitors import visitor
from athena_tuning.integrations.prometheus import Exposition
from athena_tuning.recall.contract import Remembering
from athena_tuning.service.access import OperatorToken
from athena_tuning.service.tuning_service import TuningService

MOST_BODY_BYTES = 8 << 20


def make_api(
    service: TuningService,
    token: OperatorToken,
    *,
    cluster: Remembering | None = None,
    most_body_bytes: int = MOST_BODY_BYTES,
) -> FastAPI:
    """Return the application; it closes the service when it ends.

    Args:
        service: answers; it has a manager of its own, unless a cluster answers.
        token: makes operators of those who know it.
        cluster: answers recalls and writes in place of the service's manager.
        most_body_bytes: of one request.

    Raises:
        ValueError: if nothing answers.
    """
    manager = service.embedded.manager if service.embedded is not None else None
    if manager is None and cluster is None:
        raise ValueError("a service that is attached to managers elsewhere has nothing to recall from")

    @asynccontextmanager
    async def lifespan(api: FastAPI) -> AsyncIterator[None]:
        yield
        if api.state.exposition is not None:
            api.state.exposition.close()
        await run_in_threadpool(service.close)

    api = FastAPI(
        title="athena_tuning",
        version=version("athena-tuning"),
        description="Recalls over a layered memory, and the configs that they run under.",
        lifespan=lifespan,
        dependencies=[Depends(visitor)],
        openapi_url="/v1/openapi.json",
        docs_url=None,  # the pages of Swagger and Redoc fetch their scripts from elsewhere
        redoc_url=None,
    )
    api.state.service, api.state.manager, api.state.token = service, cluster or manager, token
    api.state.exposition = None if manager is None else Exposition(manager)
    api.add_middleware(BodyLimit, most_bytes=most_body_bytes)
    answer_failures(api)
    api.include_router(memory_routes.router, prefix="/v1", tags=["memory"])
    api.include_router(config_routes.router, prefix="/v1/config", tags=["config"])
    api.include_router(experiment_routes.router, prefix="/v1/experiments", tags=["config"])
    api.include_router(status_routes.router, prefix="/v1", tags=["status"])
    api.include_router(status_routes.watch, tags=["health"])
    return api
