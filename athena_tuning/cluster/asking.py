"""One recall of a cluster: who is asked, who is asked next, and whose answer counts."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from athena_tuning.cluster import wire
from athena_tuning.cluster.connection import BrokerAway, Connection
from athena_tuning.cluster.fleet import Fleet
from athena_tuning.cluster.refusing import Refusing
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


@dataclass(slots=True)
class _Asked:
    """A recall under way.

    Attributes:
        envelope: its headers.
        body: what is asked.
        query_type: of the query.
        replies: what its tries come to, with the member each was sent to ("": whoever is free), whether it
            is a hedge, when it was sent, and under which connection.
        busy: members that said so.
        sent: how often it was sent.
    """

    envelope: Envelope
    body: bytes
    query_type: str
    replies: dict[asyncio.Future[Msg], _Try] = field(default_factory=dict)
    busy: set[str] = field(default_factory=set)
    sent: int = 0


@dataclass(frozen=True, slots=True)
class _Try:
    to: str
    is_hedge: bool
    sent: float
    renewals: int


class Asking:
    """Asks the members of a cluster; used on the connection's loop alone.

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
        self._gave: LruCache[str, str] = LruCache(10_000)
        self._refusing = Refusing(connection)
        self._line = WaitingLine(connection.loop, lambda: MOST_A_MEMBER * max(1, len(fleet.members)))
        self._settling: set[asyncio.Task[None]] = set()

    def who_gave(self, query_id: str) -> str | None:
        """Return the member that gave an answer; None if that is not known."""
        return self._gave.get(query_id)

    async def recall(
        self, request: RecallRequest, source: str, trace: dict[str, str] | None
    ) -> dict[str, Any]:
        """Ask, and return the answer.

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
                return await self._ask(request, envelope)
            finally:
                self._line.leave()
        why = f"the cluster is busy: {self._line.waiting:,} more recalls wait"
        answer = await self._refusing.refuse(request, envelope, why)
        answer["_latency_ms"] = (time.monotonic() - request.started) * 1000
        return answer

    async def _ask(self, request: RecallRequest, envelope: Envelope) -> dict[str, Any]:
        began = time.monotonic()
        asked = _Asked(envelope, wire.encode_request(request), classify(request.query))
        key = (request.query, request.scope)
        try:
            await self._send(asked, self._whom(key if request.use_cache else None))
            reply = await self._first_reply(asked, began + self._timeout)
        finally:
            for left in asked.replies:
                left.cancel()
        answer: dict[str, Any] = wire.decode(reply.data)
        member = (reply.headers or {}).get(wire.MEMBER, "")
        if request.use_cache and not answer["_refused"]:
            self._answered_by.put(key, member)
        self._gave.put(answer["_query_id"], member)
        seconds = time.monotonic() - began
        self.delays.learn(asked.query_type, seconds)
        answer["_latency_ms"] = (time.monotonic() - request.started) * 1000
        answer["_member"] = member
        return answer

    def _whom(self, key: tuple[str, str | None] | None) -> str:
        """Return who has the answer; else whoever is free, of those that are well."""
        holder = self._answered_by.get(key) if key else None
        if holder and holder not in self._fleet.silent:
            return holder
        return (self._fleet.another() or "") if self._fleet.silent else ""

    async def _send(self, asked: _Asked, to: str = "", attempt: str = wire.FIRST) -> None:
        await self._wait_for_broker()
        envelope = asked.envelope if attempt == wire.FIRST else replace(asked.envelope, attempt=attempt)
        subject = self._connection.address.of(to, "recall") if to else self._connection.address.recall
        sent = time.monotonic()
        asked.sent += 1
        reply = await self._connection.send(subject, asked.body, envelope.to_headers())
        asked.replies[reply] = _Try(to, attempt == wire.HEDGE, sent, self._connection.renewals)

    async def _wait_for_broker(self) -> None:
        until = time.monotonic() + AWAY_SECONDS
        while not self._connection.is_up:
            if time.monotonic() >= until:
                raise BrokerAway(f"the broker at {self._connection.address.shown} is away")
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    async def _first_reply(self, asked: _Asked, until: float) -> Msg:
        delay = wait = self.delays.of(asked.query_type)
        while True:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no answer within {self._timeout:g} s")
            done, _ = await asyncio.wait(
                asked.replies, timeout=min(wait, left), return_when=asyncio.FIRST_COMPLETED
            )
            for reply in done:
                counts = await self._take(asked, reply)
                if counts is not None:
                    return counts
            if not done:
                if asked.sent < MOST_TRIES:
                    await self._try_elsewhere(asked)
                wait = min(max(2 * wait, delay), LONGEST_WAIT_SECONDS)

    async def _take(self, asked: _Asked, reply: asyncio.Future[Msg]) -> Msg | None:
        """Return a reply if it is the answer; else ask whoever is next."""
        made = asked.replies.pop(reply)
        msg = reply.result()
        status = wire.status_of(msg)
        if msg.headers and (member := msg.headers.get(wire.MEMBER)):
            self._fleet.hear(member)
        if status == "":
            hedges = [other for other in asked.replies.values() if other.is_hedge]
            if made.is_hedge or hedges:
                self._settle(asked.envelope.query_id, (msg.headers or {}).get(wire.MEMBER, ""), made)
            return msg
        if status == wire.BUSY:
            await self._note_busy(asked, msg)
        elif status == wire.HERE:
            await self._note_here(asked, msg)
        elif status == wire.NO_RESPONDERS:
            await self._note_gone(asked, made)
        else:
            raise wire.decode_error(msg.data)
        return None

    async def _note_busy(self, asked: _Asked, msg: Msg) -> None:
        self.counts["busy"] += 1
        headers = msg.headers or {}
        asked.busy.add(headers.get(wire.MEMBER, ""))
        if not all(map(self._is_lost, asked.replies.values())):
            asked.sent -= 1  # it was no try: if the others stay silent, it is made later
            return
        if len(asked.busy) < MOST_BUSY and (member := self._fleet.another(asked.busy)):
            is_last = len(asked.busy) == MOST_BUSY - 1 or self._fleet.another({*asked.busy, member}) is None
            await self._send(asked, member, wire.LAST if is_last else wire.FIRST)
        else:
            await self._send(asked, "", wire.LAST)

    async def _note_here(self, asked: _Asked, msg: Msg) -> None:
        """Send to another one what went to the member that is at it already."""
        asked.busy.add((msg.headers or {}).get(wire.MEMBER, ""))
        asked.sent -= 1
        if member := self._fleet.another(asked.busy):
            await self._send(asked, member, wire.HEDGE)

    async def _note_gone(self, asked: _Asked, made: _Try) -> None:
        if made.to:
            self._fleet.lose(made.to)
            self.counts["retries"] += 1
            await self._send(asked, "", wire.HEDGE if made.is_hedge else wire.FIRST)
        elif not asked.replies:
            if time.monotonic() - self._fleet.seen_at > GRACE_SECONDS:
                raise wire.nobody_there(self._connection.address)
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            await self._send(asked, "", wire.HEDGE if made.is_hedge else wire.FIRST)

    async def _try_elsewhere(self, asked: _Asked) -> None:
        """Ask another member if the silent one is gone, or there is something left of the budget."""
        newest = max(asked.replies.values(), key=lambda made: made.sent)
        await self._wait_for_broker()
        lost = self._is_lost(newest)
        if not lost and self._budget.take():
            self.counts["hedges"] += 1
        elif lost or not await self._fleet.probe(self.delays.of(asked.query_type) / 2):
            self.counts["retries"] += 1
        else:
            return
        await self._send(asked, self._fleet.another(asked.busy | {newest.to}) or "", wire.HEDGE)

    def _is_lost(self, made: _Try) -> bool:
        """Whether the broker, or some member, went away after this try was made."""
        return self._connection.renewals > made.renewals or self._fleet.lost_at > made.sent

    # Which of two answers is recorded

    def _settle(self, query_id: str, member: str, made: _Try) -> None:
        if made.is_hedge:
            self.counts["hedges_won"] += 1
        task = asyncio.ensure_future(self._tell(query_id, member, made.is_hedge))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def _tell(self, query_id: str, member: str, hedge_won: bool) -> None:
        """Have one of the tries recorded.

        The first one records itself when it ends. Where the hedge was faster, the first is told to give up;
        only if it says that it was recorded before, the hedge's record is dropped.
        """
        with contextlib.suppress(NatsError):
            told = wire.encode({"query_id": query_id, "winner": member})
            address = self._connection.address
            if not hedge_won:
                await self._connection.client.publish(address.settle, told)
                return
            reply = await self._connection.send(address.settle, told)
            try:
                async with asyncio.timeout(_SETTLE_SECONDS):
                    recorded = wire.decode((await reply).data)["recorded"]
            except TimeoutError:
                recorded = False  # it is gone, or hangs: what it finds when it wakes is out of date
            counts = wire.encode({"query_id": query_id, "counts": not recorded})
            await self._connection.send(address.of(member, "settle"), counts)
