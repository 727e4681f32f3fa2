"""A manager that answers: a service on NATS, found and counted by the services API."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import socket
import time
import uuid
from collections import Counter
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

from nats.errors import Error as NatsError
from nats.micro import add_service
from nats.micro.request import Request
from nats.micro.service import EndpointStats, Service

from athena_tuning.closeable import Closeable
from athena_tuning.cluster import wire
from athena_tuning.cluster.address import Address
from athena_tuning.cluster.attempts import Attempts
from athena_tuning.cluster.connection import Connection
from athena_tuning.cluster.methods import METHODS, refuse
from athena_tuning.cluster.wire import Envelope
from athena_tuning.integrations.trace_context import within_trace
from athena_tuning.model.source import recorded_as
from athena_tuning.recall import MemoryManager
from athena_tuning.recall.attempt import Attempt, attempted
from athena_tuning.recall.request import RecallRequest
from athena_tuning.store import StoreError

logger = logging.getLogger(__name__)

MOST_UNDER_WAY = 1000
"""Recalls of one member that are under way at once; with more, it says that it is busy."""

BUSY_SECONDS = 0.2
"""After which a member that has too many under way is worth another try."""

_LEAVE_SECONDS = 10.0

Reply = tuple[bytes, dict[str, str]]
"""Body and headers."""


def serve(manager: MemoryManager, url: str, *, most_under_way: int = MOST_UNDER_WAY) -> ClusterMember:
    """Let a manager answer on NATS, until what is returned is closed; the manager stays open.

    Args:
        manager: answers.
        url: the cluster; see ``Address.parse``.
        most_under_way: recalls at once, beyond which it says "busy" without asking its layers.

    Raises:
        ValueError: if the URL is none.
        BrokerAway: if no broker answers there.
    """
    return ClusterMember(manager, Address.parse(url), most_under_way=most_under_way)


class ClusterMember(Closeable):
    """A manager's part in a cluster. Close it before the manager.

    Recalls run on the loop of its connection, other methods in four threads of their own. A recall of which
    nobody waits for the answer any more is not begun.

    Args:
        manager: answers.
        address: of the cluster.
        most_under_way: recalls at once.

    Attributes:
        id: under which it can be asked alone.
        address: of the cluster.
        is_leaving: whether it was told to drain: it takes no more recalls, and answers those it has.
    """

    id: str

    def __init__(
        self, manager: MemoryManager, address: Address, *, most_under_way: int = MOST_UNDER_WAY
    ) -> None:
        self.is_leaving = False
        self._manager = manager
        self.address = address
        self._most = most_under_way
        self._under_way = 0
        self._counts: Counter[str] = Counter()
        self._nanoseconds = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._attempts = Attempts()
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="cluster-method")
        self._connection = Connection(address, "cluster member")
        try:
            self._service = self._connection.run(self._enter())
        except BaseException:
            self.close()
            raise

    @property
    def counts(self) -> Mapping[str, int]:
        """How many replies of each kind it gave: answers, busy, refused, late, failed."""
        return dict(self._counts)

    @property
    def under_way(self) -> int:
        """Recalls that it is at."""
        return self._under_way

    def drain(self) -> None:
        """Take no more recalls; those under way are answered."""
        self._connection.run(self._leave())

    def close(self) -> None:
        """Drain, wait up to ten seconds for what is under way, and leave. May be called twice."""
        try:
            if hasattr(self, "_service"):
                self._connection.run(self._end(), _LEAVE_SECONDS + 2)
        except (TimeoutError, NatsError, RuntimeError):
            logger.debug("%s did not leave well", self._manager.worker_id, exc_info=True)
        self._connection.close()
        self._threads.shutdown(wait=False)

    # Joining and leaving

    async def _enter(self) -> Service:
        address = self.address
        service = await add_service(
            self._connection.client,
            name=address.service,
            version=version("athena-tuning"),
            description="Recalls over a layered memory",
            metadata=self._metadata(),
            stats_handler=self._stats,
        )
        self.id = service.id
        alone = functools.partial(address.of, self.id)
        for name, subject, handler in (
            ("recall", address.recall, self._take_recall),
            ("recall-here", alone("recall"), self._take_recall),
            ("ask", address.ask, self._take_method),
            ("ask-here", alone("ask"), self._take_method),
            ("drain", alone("drain"), self._take_drain),
            ("settle-here", alone("settle"), self._settle),
        ):
            await service.add_endpoint(name=name, subject=subject, handler=handler, queue_group="members")
        await self._connection.client.subscribe(address.settle, cb=self._hear_settled)
        await self._connection.client.subscribe(address.configs, cb=self._hear_of_configs)
        await self._connection.flush()
        return service

    async def _leave(self) -> None:
        if self.is_leaving:
            return
        self.is_leaving = True
        for endpoint in self._service._endpoints:
            if endpoint._name in ("recall", "ask") and endpoint._subscription is not None:
                await endpoint._subscription.drain()
        await self._connection.flush()

    async def _end(self) -> None:
        await self._leave()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_LEAVE_SECONDS)

    def _metadata(self) -> dict[str, str]:
        memory = self._manager.memory.file.path
        place = f"{socket.gethostname()}:{os.path.realpath(memory)}"
        return {
            "worker": self._manager.worker_id,
            "host": socket.gethostname(),
            "pid": str(os.getpid()),
            "memory": place,
        }

    # Recalls

    async def _take_recall(self, request: Request) -> None:
        self._begin(self._respond(request, self._answer(request)))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._connection.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, request: Request) -> Reply | None:
        """Return the reply to a recall; None if nobody waits for it any more."""
        began = time.perf_counter_ns()
        self._under_way += 1
        try:
            envelope = Envelope.from_headers(request.headers or {})
            if time.time() >= envelope.until:
                self._counts["late"] += 1
                return None
            return await self._reply(wire.decode_request(request.data, envelope), envelope)
        finally:
            self._under_way -= 1
            self._nanoseconds += time.perf_counter_ns() - began

    async def _reply(self, recall: RecallRequest, envelope: Envelope) -> Reply:
        attempt, final = Attempt(envelope.query_id or uuid.uuid4().hex), envelope.attempt == wire.LAST
        if self._attempts.has(attempt.query_id):
            return self._not_now(wire.HERE, BUSY_SECONDS)
        if self._under_way > self._most or self.is_leaving:
            if not final:
                return self._not_now(wire.BUSY, BUSY_SECONDS)
            why = "leaves" if self.is_leaving else f"has {self._most:,} recalls under way"
            answer = refuse(self._manager, recall, envelope, f"the cluster's member {why}", BUSY_SECONDS)
        else:
            with attempted(attempt), recorded_as(envelope.source), within_trace(envelope.trace):
                answer = await self._recall(recall, envelope, attempt)
            if answer["_refused"] and not final:
                self._attempts.give_up(attempt.query_id)
                return self._not_now(wire.BUSY, answer["_retry_after_s"])
        self._attempts.end(attempt.query_id)
        self._counts["refused" if answer["_refused"] else "answers"] += 1
        return wire.encode_answer(answer), {wire.MEMBER: self.id}

    async def _recall(self, recall: RecallRequest, envelope: Envelope, attempt: Attempt) -> dict[str, Any]:
        task = asyncio.current_task()
        self._counts["hedges"] += envelope.attempt == wire.HEDGE
        self._attempts.begin(attempt, task, is_hedge=envelope.attempt == wire.HEDGE)
        return await self._manager.arecall(
            recall.query,
            recall.context,
            recall.k,
            recall.scope,
            recall.use_cache,
            recall.use_parallel,
            recall.layers,
        )

    def _not_now(self, code: str, retry_after: float) -> Reply:
        self._counts["busy"] += code == wire.BUSY
        headers = {wire.CODE: code, wire.REASON: "busy", wire.RETRY_AFTER: f"{retry_after:.3f}"}
        return b"", {**headers, wire.MEMBER: self.id}

    # What is settled about tries

    async def _settle(self, request: Request) -> None:
        settlement = wire.decode(request.data)
        recorded = self._attempts.settle(settlement["query_id"], counts=settlement["counts"])
        self._counts["hedges_won"] += bool(settlement["counts"])
        await request.respond(wire.encode({"recorded": recorded}))

    async def _hear_settled(self, msg: Any) -> None:
        """Hear that another member's answer counts; say so if this one's is recorded already."""
        settlement = wire.decode(msg.data)
        if settlement["winner"] == self.id:
            return
        recorded = self._attempts.settle(settlement["query_id"], counts=False)
        if recorded is not None and msg.reply:
            await msg.respond(wire.encode({"recorded": recorded}))

    # Everything else

    async def _take_method(self, request: Request) -> None:
        self._begin(self._respond(request, self._carry_out(request.data)))

    async def _carry_out(self, data: bytes) -> Reply:
        call = wire.decode(data)
        method = METHODS.get(call["method"])
        if method is None:
            raise ValueError(f"there is no method {call['method']!r:.80}; there are {', '.join(METHODS)}")
        before = self._manager.configs.head
        run = functools.partial(method.carry_out, self._manager, call.get("arguments") or {})
        value = await self._connection.loop.run_in_executor(self._threads, run)
        if self._manager.configs.head != before:
            await self._connection.client.publish(self.address.configs, self.id.encode())
        return wire.encode({"value": value}), {wire.MEMBER: self.id}

    async def _hear_of_configs(self, msg: Any) -> None:
        """Look at once what another member has put in force, not only at the next turn."""
        if msg.data != self.id.encode():
            self._begin(self._follow_configs())

    async def _follow_configs(self) -> None:
        try:
            await self._connection.loop.run_in_executor(self._threads, self._manager.follow_configs)
        except StoreError as exc:  # it looks again by itself
            logger.debug("%s could not look at the store: %s", self._manager.worker_id, exc)

    async def _take_drain(self, request: Request) -> None:
        await request.respond(b"{}")
        self._begin(self._leave())

    async def _respond(self, request: Request, work: Coroutine[Any, Any, Reply | None]) -> None:
        """Send what comes of some work; its failure is told to whoever asked."""
        try:
            reply = await work
        except Exception as exc:  # noqa: BLE001  (passed to the caller)
            self._counts["failed"] += 1
            reply = self._failed(exc)
        if reply is None:
            return
        if len(reply[0]) > self._connection.client.max_payload:
            reply = self._too_large(len(reply[0]))
        try:
            await request.respond(*reply)
        except NatsError as exc:
            logger.warning("a reply of %s is lost: %r", self._manager.worker_id, exc)

    def _failed(self, error: Exception) -> Reply:
        headers = {wire.CODE: wire.BAD, wire.REASON: type(error).__name__, wire.MEMBER: self.id}
        return wire.encode_error(error), headers

    def _too_large(self, size: int) -> Reply:
        most = self._connection.client.max_payload
        return self._failed(
            ValueError(
                f"the answer has {size:,} bytes and the broker carries {most:,}: ask for fewer items (k), or "
                "set max_payload in the broker's configuration"
            )
        )

    def _stats(self, of: EndpointStats) -> Any:
        """Tell what the services API lacks; its own times end when a recall has only begun."""
        if of.name != "recall":
            return None
        manager, times = self._manager, os.times()
        answered = self._counts["answers"] + self._counts["refused"]
        of.processing_time = self._nanoseconds
        of.average_processing_time = self._nanoseconds // max(1, answered)
        of.num_errors = self._counts["failed"]
        return {
            **dict.fromkeys(("answers", "refused", "busy", "late", "failed", "hedges", "hedges_won"), 0),
            **self._counts,
            **self._metadata(),
            "under_way": self._under_way,
            "limit": manager.limit,
            "config_limit": manager.configs.default.config.max_concurrent,
            "waiting": manager.waiting,
            "overloaded_s": manager.overloaded_seconds,
            "config_version": manager.configs.head,
            "cpu_s": times.user + times.system,
            "cores": os.cpu_count(),
            "leaving": self.is_leaving,
            "time": time.time(),
        }
