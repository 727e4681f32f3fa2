"""One recall of a cluster: who is asked, who is asked next, and whose answer counts."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from athena_tuning.cluster import wire
from athena_tuning.cluster.connection import BrokerAway, Connection
from athena_tuning.cluster.fleet import Fleet
from athena_tuning.cluster.refusals import Refusals
from athena_tuning.cluster.waiting_line import WaitingLine
from athena_tuning.cluster.wire import Envelope
from athena_tuning.hedging import HedgingBudget, HedgingDelays
from athena_tuning.lru_cache import LruCache
from athena_tuning.recall.classification import classify
from athena_tuning.recall.request import RecallRequest

MOST_TRIES = 3
"""So often a recall is sent; where that did not help, more of it would not."""
LONGEST_WAIT_SECONDS = 5.0
MOST_BUSY = 3
"""So many members that say "busy" are enough to refuse a recall; the last one's refusal is final."""
MOST_A_MEMBER = 500
"""Recalls of one client that are with the members at once, for each of them; more wait in the client."""
AWAY_SECONDS = 5.0
"""Longest wait of a recall for a broker that went away."""
GRACE_SECONDS = 5.0
"""Members that were there so lately are waited for: a broker or a process may be starting again."""

HEDGE_FIRST_SECONDS = 1.0
"""A recall is tried elsewhere after so long, as long as little is known of its type."""
HEDGE_LEAST_SECONDS = 0.05
"""Less says more of the scheduler than of a member."""
HEDGE_MOST_SECONDS = 5.0
_SETTLE_SECONDS = 1.0
_LOOK_AGAIN_SECONDS = 0.05


@dataclass(slots=True, eq=False)
class _Attempt:
    """One sending of a recall.

    Attributes:
        member: to which it was sent; "": whoever is free.
        is_hedge: whether another one was under way.
        sent: monotonic seconds.
        renewals: of the connection, at that time.
        token: under which its reply is expected.
    """

    member: str
    is_hedge: bool
    sent: float
    renewals: int
    token: str = ""


@dataclass(slots=True)
class _PendingRecall:
    """A recall under way.

    Attributes:
        envelope: its headers.
        body: of its request.
        query_type: of the query.
        attempts: those without a reply.
        busy: members that said so.
        sent: how often it was sent.
        replies: that have come and were not looked at.
        waiter: done when there is something to look at.
    """

    envelope: Envelope
    body: bytes
    query_type: str
    attempts: list[_Attempt] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)
    sent: int = 0
    replies: deque[tuple[_Attempt, Msg]] = field(default_factory=deque)
    waiter: asyncio.Future[None] | None = None

    def receive(self, attempt: _Attempt, msg: Msg) -> None:
        """Keep the reply to an attempt."""
        self.attempts.remove(attempt)
        self.replies.append((attempt, msg))
        self.wake()

    def wake(self) -> None:
        """Have whoever waits go on."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


class RecallDispatcher:
    """Sends recalls to the members of a cluster; used on the connection's loop alone.

    Args:
        connection: to the broker.
        fleet: who is there.
        name: begins the ids of its recalls.
        timeout_seconds: after which a recall without an answer fails.

    Attributes:
        counts: recalls, busy replies, hedges, hedges that won, tries because a member was gone.
    """

    def __init__(self, connection: Connection, fleet: Fleet, name: str, timeout_seconds: float) -> None:
        self.counts: Counter[str] = Counter()
        self.delays = HedgingDelays(
            0.99, first=HEDGE_FIRST_SECONDS, least=HEDGE_LEAST_SECONDS, most=HEDGE_MOST_SECONDS
        )
        self._budget = HedgingBudget()
        self._connection = connection
        self._fleet = fleet
        self._name = name
        self._timeout = timeout_seconds
        self._numbers = itertools.count(1)
        self._answered_by: LruCache[tuple[str, str | None], str] = LruCache(10_000)
        self._member_of: LruCache[str, str] = LruCache(10_000)
        self._refusals = Refusals(connection)
        self._line = WaitingLine(connection.loop, lambda: MOST_A_MEMBER * max(1, len(fleet.members)))
        self._settling: set[asyncio.Task[None]] = set()

    def member_of(self, query_id: str) -> str | None:
        """Return the member that gave an answer; None if that is not known."""
        return self._member_of.get(query_id)

    async def recall(
        self, request: RecallRequest, source: str, trace: dict[str, str] | None
    ) -> dict[str, Any]:
        """Send a recall, and return the answer.

        One for which the members have no room within a second is refused.

        Raises:
            NobodyThere: if no member listens.
            BrokerAway: if the broker cannot be reached for five seconds.
            TimeoutError: if no answer comes in time.
            ValueError: if a member says that the request makes no sense.
        """
        self.counts["recalls"] += 1
        self._budget.earn()
        self._fleet.use()
        envelope = Envelope(
            f"{self._name}-{next(self._numbers)}",
            time.time() + self._timeout,
            scope=request.scope,
            source=source,
            background=request.is_background,
            trace=trace,
        )
        if await self._line.enter(request.started):
            try:
                return await self._dispatch(request, envelope)
            finally:
                self._line.leave()
        why = f"the cluster is busy: {self._line.waiting:,} more recalls wait"
        answer = await self._refusals.refuse(request, envelope, why)
        answer["_latency_ms"] = (time.monotonic() - request.started) * 1000
        return answer

    async def _dispatch(self, request: RecallRequest, envelope: Envelope) -> dict[str, Any]:
        began = time.monotonic()
        pending = _PendingRecall(envelope, wire.encode_request(request), classify(request.query))
        key = (request.query, request.scope)
        try:
            await self._send(pending, self._first_member(key if request.use_cache else None))
            reply = await self._answer(pending, began + self._timeout)
        finally:
            for attempt in pending.attempts:
                self._connection.forget(attempt.token)
        answer: dict[str, Any] = wire.decode(reply.data)
        member = (reply.headers or {}).get(wire.MEMBER, "")
        if request.use_cache and not answer["_refused"]:
            self._answered_by.put(key, member)
        self._member_of.put(answer["_query_id"], member)
        now = time.monotonic()
        self.delays.learn(pending.query_type, now - began)
        answer["_latency_ms"] = (now - request.started) * 1000
        answer["_member"] = member
        return answer

    def _first_member(self, key: tuple[str, str | None] | None) -> str:
        """Return the member that has the answer; else "", whoever is free, of those that are well."""
        holder = self._answered_by.get(key) if key else None
        if holder and holder not in self._fleet.silent:
            return holder
        return (self._fleet.another() or "") if self._fleet.silent else ""

    async def _send(self, pending: _PendingRecall, member: str = "", kind: str = wire.FIRST) -> None:
        if not self._connection.is_up:
            await self._wait_for_broker()
        envelope = pending.envelope if kind == wire.FIRST else replace(pending.envelope, attempt=kind)
        address = self._connection.address
        subject = address.of(member, "recall") if member else address.recall
        attempt = _Attempt(member, kind == wire.HEDGE, time.monotonic(), self._connection.renewals)
        pending.sent += 1
        pending.attempts.append(attempt)
        on_reply = partial(pending.receive, attempt)
        attempt.token = await self._connection.post(subject, pending.body, envelope.to_headers(), on_reply)

    async def _wait_for_broker(self) -> None:
        until = time.monotonic() + AWAY_SECONDS
        while not self._connection.is_up:
            if time.monotonic() >= until:
                raise BrokerAway(f"the broker at {self._connection.address.shown} is away")
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    async def _answer(self, pending: _PendingRecall, until: float) -> Msg:
        """Return the first reply that is an answer; send again where one is late, busy or gone."""
        delay = wait = self.delays.of(pending.query_type)
        while True:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no answer within {self._timeout:g} s")
            if await self._wait_for_reply(pending, min(wait, left)):
                answer = await self._take(pending, *pending.replies.popleft())
                if answer is not None:
                    return answer
                continue
            if pending.sent < MOST_TRIES:
                await self._try_elsewhere(pending)
            wait = min(max(2 * wait, delay), LONGEST_WAIT_SECONDS)

    async def _wait_for_reply(self, pending: _PendingRecall, seconds: float) -> bool:
        if not pending.replies:
            pending.waiter = self._connection.loop.create_future()
            timer = self._connection.loop.call_later(seconds, pending.wake)
            try:
                await pending.waiter
            finally:
                timer.cancel()
        return bool(pending.replies)

    async def _take(self, pending: _PendingRecall, attempt: _Attempt, msg: Msg) -> Msg | None:
        """Return a reply if it is the answer; else ask whoever is next."""
        status = wire.status_of(msg)
        if msg.headers and (member := msg.headers.get(wire.MEMBER)):
            self._fleet.hear(member)
        if status == "":
            if attempt.is_hedge or any(other.is_hedge for other in pending.attempts):
                self._settle(pending.envelope.query_id, (msg.headers or {}).get(wire.MEMBER, ""), attempt)
            return msg
        if status == wire.BUSY:
            await self._note_busy(pending, msg)
        elif status == wire.HERE:
            await self._note_here(pending, msg)
        elif status == wire.NO_RESPONDERS:
            await self._note_gone(pending, attempt)
        else:
            raise wire.decode_error(msg.data)
        return None

    async def _note_busy(self, pending: _PendingRecall, msg: Msg) -> None:
        self.counts["busy"] += 1
        headers = msg.headers or {}
        pending.busy.add(headers.get(wire.MEMBER, ""))
        if not all(map(self._is_lost, pending.attempts)):
            pending.sent -= 1  # it was no try: if the others stay silent, it is made later
            return
        if len(pending.busy) < MOST_BUSY and (member := self._fleet.another(pending.busy)):
            others = self._fleet.another({*pending.busy, member})
            is_last = len(pending.busy) == MOST_BUSY - 1 or others is None
            await self._send(pending, member, wire.LAST if is_last else wire.FIRST)
        else:
            await self._send(pending, "", wire.LAST)

    async def _note_here(self, pending: _PendingRecall, msg: Msg) -> None:
        """Send to another one what went to the member that is at it already."""
        pending.busy.add((msg.headers or {}).get(wire.MEMBER, ""))
        pending.sent -= 1
        if member := self._fleet.another(pending.busy):
            await self._send(pending, member, wire.HEDGE)

    async def _note_gone(self, pending: _PendingRecall, attempt: _Attempt) -> None:
        kind = wire.HEDGE if attempt.is_hedge else wire.FIRST
        if attempt.member:
            self._fleet.lose(attempt.member)
            self.counts["retries"] += 1
            await self._send(pending, "", kind)
        elif not pending.attempts:
            if time.monotonic() - self._fleet.seen_at > GRACE_SECONDS:
                raise wire.nobody_there(self._connection.address)
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            await self._send(pending, "", kind)

    async def _try_elsewhere(self, pending: _PendingRecall) -> None:
        """Ask another member if the silent one is gone, or there is something left of the budget."""
        newest = max(pending.attempts, key=lambda attempt: attempt.sent)
        if not self._connection.is_up:
            await self._wait_for_broker()
        lost = self._is_lost(newest)
        if not lost and self._budget.take():
            self.counts["hedges"] += 1
        elif lost or not await self._fleet.probe(self.delays.of(pending.query_type) / 2):
            self.counts["retries"] += 1
        else:
            return
        tried = pending.busy | {newest.member}
        await self._send(pending, self._fleet.another(tried) or "", wire.HEDGE)

    def _is_lost(self, attempt: _Attempt) -> bool:
        """Whether the broker, or some member, went away after this was sent."""
        return self._connection.renewals > attempt.renewals or self._fleet.lost_at > attempt.sent

    # Which of two answers is recorded

    def _settle(self, query_id: str, member: str, attempt: _Attempt) -> None:
        if attempt.is_hedge:
            self.counts["hedges_won"] += 1
        task = asyncio.ensure_future(self._tell(query_id, member, attempt.is_hedge))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def _tell(self, query_id: str, member: str, hedge_won: bool) -> None:
        """Have one of the tries recorded.

        The first one records itself when it ends. Where the hedge was faster, the first is told to give up;
        only if it says that it was recorded before, the hedge's record is dropped.
        """
        with contextlib.suppress(NatsError):
            body = wire.encode({"query_id": query_id, "winner": member})
            address = self._connection.address
            if not hedge_won:
                await self._connection.client.publish(address.settle, body)
                return
            reply = await self._connection.send(address.settle, body)
            try:
                async with asyncio.timeout(_SETTLE_SECONDS):
                    recorded = wire.decode((await reply).data)["recorded"]
            except TimeoutError:
                recorded = False  # it is gone, or hangs: what it finds when it wakes is out of date
            counts = wire.encode({"query_id": query_id, "counts": not recorded})
            await self._connection.send(address.of(member, "settle"), counts)
