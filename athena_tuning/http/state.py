"""What routes work with, as parameters of theirs."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from athena_tuning.integrations.prometheus import Exposition
from athena_tuning.recall.contract import Remembering
from athena_tuning.service.tuning_service import TuningService


def _manager(request: Request) -> Remembering:
    manager: Remembering = request.app.state.manager
    return manager


def _service(request: Request) -> TuningService:
    service: TuningService = request.app.state.service
    return service


def _exposition(request: Request) -> Exposition | None:
    exposition: Exposition | None = request.app.state.exposition
    return exposition


Manager = Annotated[Remembering, Depends(_manager)]
Service = Annotated[TuningService, Depends(_service)]
Metrics = Annotated[Exposition | None, Depends(_exposition)]
