"""Refusals of recalls that no member was asked for: many of them in one message, recorded by a member."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from athena_tuning.cluster import wire
from athena_tuning.cluster.connection import Connection
from athena_tuning.cluster.wire import Envelope
from athena_tuning.recall.classification import classify
from athena_tuning.recall.request import RecallRequest

GATHER_SECONDS = 0.02
"""What is refused within so short a time goes in one message."""
MOST = 200
"""In one message: a member takes some 20 ms for them."""

_PATIENCE_SECONDS = 1.0
_RETRY_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Refusals:
    """Has recalls refused; used on the connection's loop alone.

    Args:
        connection: to the broker.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: list[tuple[dict[str, Any], asyncio.Future[dict[str, Any]]]] = []
        self._sending: set[asyncio.Task[None]] = set()

    async def refuse(self, request: RecallRequest, envelope: Envelope, why: str) -> dict[str, Any]:
        """Return the answer of a recall that is refused.

        It is a member's, which records it. Where none answers soon it is one of our own, and a member that
        has the message still to read records it when it does.
        """
        refusal = {
            "headers": {**envelope.to_headers(), wire.TRY: wire.LAST},
            "body": wire.decode(wire.encode_request(request)),
            "why": why,
            "retry_after_s": _RETRY_SECONDS,
        }
        answer: asyncio.Future[dict[str, Any]] = self._connection.loop.create_future()
        if not self._waiting:
            self._connection.loop.call_later(GATHER_SECONDS, self._send)
        self._waiting.append((refusal, answer))
        try:
            return await answer
        except Exception as exc:  # noqa: BLE001
            logger.debug("nobody refused %s for us: %r", envelope.query_id, exc)
            return _refused(request, envelope, why)

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        for first in range(0, len(waiting), MOST):
            task = self._connection.loop.create_task(self._deliver(waiting[first : first + MOST]))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _deliver(self, some: list[tuple[dict[str, Any], asyncio.Future[dict[str, Any]]]]) -> None:
        try:
            answers = await self._ask([refusal for refusal, _ in some])
        except Exception as exc:  # noqa: BLE001  (passed to the caller)
            for _, future in some:
                if not future.done():
                    future.set_exception(exc)
            return
        for (_, future), answer in zip(some, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    async def _ask(self, recalls: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
        data = wire.encode({"method": "refuse", "arguments": {"recalls": recalls}})
        reply = await self._connection.send(self._connection.address.ask, data)
        async with asyncio.timeout(_PATIENCE_SECONDS):
            msg = await reply
        status = wire.status_of(msg)
        if status == wire.NO_RESPONDERS:
            raise wire.nobody_there(self._connection.address)
        if status:
            raise wire.decode_error(msg.data)
        answers: list[dict[str, Any]] = wire.decode(msg.data)["value"]
        return answers


def _refused(request: RecallRequest, envelope: Envelope, why: str) -> dict[str, Any]:
    """Return what a manager answers to a recall that is refused; which layers it would ask is not known."""
    return {
        "_fused": [],
        "_query_id": envelope.query_id,
        "_query_type": classify(request.query),
        "_layers": list(request.layers or ()),
        "_cache_hit": False,
        "_partial": False,
        "_stale": {},
        "_errors": {"cluster": f"refused: {why}"},
        "_success": False,
        "_latency_ms": 0.0,
        "_layer_ms": {},
        "_queue_ms": {},
        "_config_version": None,
        "_refused": True,
        "_retry_after_s": _RETRY_SECONDS,
    }
