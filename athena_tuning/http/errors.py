"""How failures are answered: a status that programs know, and a sentence with the way out."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from athena_tuning.service.roles import NotAllowed
from athena_tuning.store import ConfigConflict, StoreError


def _answer(status: int, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, status)


async def _conflict(_: Request, error: Exception) -> JSONResponse:
    return _answer(412, error)


async def _not_allowed(_: Request, error: Exception) -> JSONResponse:
    return _answer(403, error)


async def _unreachable(_: Request, error: Exception) -> JSONResponse:
    answer = _answer(503, error)
    answer.headers["Retry-After"] = "1"
    return answer


async def _bad_value(_: Request, error: Exception) -> JSONResponse:
    return _answer(422, error)


def answer_failures(app: FastAPI) -> None:
    """Have the failures of service and manager answered in words."""
    app.add_exception_handler(ConfigConflict, _conflict)
    app.add_exception_handler(NotAllowed, _not_allowed)
    app.add_exception_handler(StoreError, _unreachable)
    for away in (ConnectionError, TimeoutError):
        app.add_exception_handler(away, _unreachable)
    app.add_exception_handler(ValueError, _bad_value)
