"""Who is in a cluster: found by the services API, and asked again while somebody uses the cluster."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

from athena_tuning.cluster import wire
from athena_tuning.cluster.connection import Connection

LOOK_SECONDS = 1.0
"""Between two looks at who is there, of a client that is in use."""
SILENT_SECONDS = 0.4
"""A member that does not answer a ping for so long is taken for hung: its recalls are tried elsewhere."""
_READ_SECONDS = 0.05
_ANSWER_SECONDS = 0.25
_IDLE_TURNS = 3
"""A client that nobody uses looks so much less often."""


@dataclass(frozen=True, slots=True)
class Member:
    """A manager of the cluster, as it described itself.

    Attributes:
        id: under which it is asked alone.
        version: of athena_tuning.
        figures: of itself; ``ClusterMember`` says which.
    """

    id: str
    version: str
    figures: Mapping[str, Any]

    @property
    def worker(self) -> str:
        """Its name among the workers of the store."""
        return str(self.figures["worker"])


async def look(connection: Connection, seconds: float = _ANSWER_SECONDS, most: int = 0) -> list[Member]:
    """Return who answers within so many seconds."""
    subject = f"$SRV.STATS.{connection.address.service}"
    members = []
    for msg in await connection.gather(subject, seconds, most=most):
        service = wire.decode(msg.data)
        figures = next((end["data"] for end in service["endpoints"] if end["name"] == "recall"), None)
        if figures:
            members.append(Member(service["id"], service["version"], figures))
    return members


class Fleet:
    """Who is there, as a client of the cluster knows it; used on the connection's loop alone.

    Attributes:
        members: by id.
        silent: those of them that did not answer when they were last asked.
        seen_at: monotonic seconds at which one was last there.
        lost_at: monotonic seconds at which one was last found gone or hung.
    """

    def __init__(self, connection: Connection) -> None:
        self.members: dict[str, Member] = {}
        self.silent: set[str] = set()
        self._heard: dict[str, float] = {}
        self.lost_at = self.seen_at = float("-inf")
        self._connection = connection
        self._used = False
        self._probe: asyncio.Task[bool] | None = None

    def use(self) -> None:
        """Note that the cluster is in use, so that it is worth looking who is there."""
        self._used = True

    def hear(self, member: str) -> None:
        """Note that a member has answered something."""
        self._heard[member] = self._connection.loop.time()

    def another(self, tried: Set[str] = frozenset()) -> str | None:
        """Return a member, by chance, that is well and was not tried; None if none is known."""
        unfit = tried | self.silent
        left = [m.id for m in self.members.values() if m.id not in unfit and not m.figures["leaving"]]
        return random.choice(left) if left else None

    def lose(self, member: str) -> None:
        """Know a member no longer."""
        self.members.pop(member, None)
        self.silent.discard(member)
        self._heard.pop(member, None)
        self.lost_at = time.monotonic()

    async def watch(self) -> None:
        """Look who is there, again and again."""
        for turn in itertools.count():
            if self._connection.is_up and (self._used or turn % _IDLE_TURNS == 0):
                self._used = False
                with contextlib.suppress(Exception):  # it is looked again
                    await self._look()
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        present = {member.id: member for member in await look(self._connection)}
        missing = self.members.keys() - present.keys()
        if present:
            self.seen_at = time.monotonic()
        self.members |= present
        self.silent -= present.keys()
        if missing:
            await self.probe()

    async def probe(self, patience: float = SILENT_SECONDS) -> bool:
        """Return whether all who are known are well; one that is gone is known no longer.

        Args:
            patience: seconds after which a member without an answer is taken for hung, if that is longer than
                ``SILENT_SECONDS``: where answers take long, so do those to a ping.
        """
        if self._probe is None or self._probe.done():
            self._probe = asyncio.ensure_future(self._ping_all(max(SILENT_SECONDS, patience)))
        return await asyncio.shield(self._probe)

    async def _ping_all(self, patience: float) -> bool:
        known = list(self.members)
        well = await asyncio.gather(*[self._ping(member, patience) for member in known])
        return all(well)

    async def _ping(self, member: str, patience: float) -> bool:
        """Return whether a member is well.

        One that has very much to do may be late with the ping, but gives answers meanwhile; and what waits in
        our own socket is read before it is judged.
        """
        sent = self._connection.loop.time()
        pong = await self._connection.send(f"$SRV.PING.{self._connection.address.service}.{member}", b"")
        await asyncio.wait([pong], timeout=patience)
        if not pong.done():
            await asyncio.wait([pong], timeout=_READ_SECONDS)
        if pong.done():
            if wire.status_of(pong.result()) != wire.NO_RESPONDERS:
                return True
            self.lose(member)
            return False
        pong.cancel()
        if self._heard.get(member, sent) > sent:
            return True
        self.silent.add(member)  # it may come back
        self.lost_at = time.monotonic()
        return False
