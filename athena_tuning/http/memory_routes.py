"""Routes of the memory: recall, remember, forget, feedback."""

from __future__ import annotations

import math
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from athena_tuning.http.bodies import FeedbackBody, ForgetBody, RecallBody, RememberBody
from athena_tuning.http.state import Manager
from athena_tuning.http.visitors import Visitor
from athena_tuning.integrations.trace_context import within_trace
from athena_tuning.service.plain_json import without_nan

router = APIRouter()


@router.post("/recall", responses={429: {"description": "Refused under load: come back later."}})
async def recall(body: RecallBody, manager: Manager, actor: Visitor, request: Request) -> JSONResponse:
    """Ask the layers that the question calls for; ``MemoryManager.recall`` tells what an answer holds."""
    actor.must_be_operator("ask the memory")
    with within_trace(request.headers):
        answer = without_nan(await manager.arecall(**dict(body)))
    if answer.get("_refused"):
        seconds = max(1, math.ceil(answer.get("_retry_after_s") or 1.0))
        return JSONResponse(answer, 429, {"Retry-After": str(seconds)})
    return JSONResponse(answer)


@router.post("/remember")
def remember(body: RememberBody, manager: Manager, actor: Visitor) -> dict[str, Any]:
    """Keep items; those that do not fit are told, and all others are kept."""
    actor.must_be_operator("write to the memory")
    return {"kept": manager.remember_many(body.items)}


@router.post("/forget")
def forget(body: ForgetBody, manager: Manager, actor: Visitor) -> dict[str, int]:
    """Drop items; tells how many were known."""
    actor.must_be_operator("write to the memory")
    scope = {"scope": body.scope} if "scope" in body.model_fields_set else {}
    return {"forgotten": manager.forget_many(body.ids, **scope)}


@router.post("/feedback")
def feedback(body: FeedbackBody, manager: Manager, actor: Visitor) -> dict[str, bool]:
    """Note how good an answer was; false if it is not known any more."""
    actor.must_be_operator("judge an answer")
    return {"known": manager.record_feedback(body.query_id, body.score)}
