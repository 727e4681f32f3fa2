"""A cluster of managers, asked as one manager is."""

from __future__ import annotations

import asyncio
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import msgspec

from athena_tuning.closeable import Closeable
from athena_tuning.cluster import fleet, wire
from athena_tuning.cluster.address import Address
from athena_tuning.cluster.connection import BrokerAway, Connection
from athena_tuning.cluster.dispatch import RecallDispatcher
from athena_tuning.cluster.fleet import Fleet, Member
from athena_tuning.cluster.methods import METHODS, scope_to_wire
from athena_tuning.integrations.trace_context import trace_headers
from athena_tuning.model import (
    ConfigSet,
    ConfigVersion,
    LayerHealth,
    Mode,
    TuningConfig,
    TuningStrategy,
    WorkerStatus,
)
from athena_tuning.model.source import current_source
from athena_tuning.recall.classification import classify
from athena_tuning.recall.items import BadItems, Item
from athena_tuning.recall.memory import ANY_SCOPE, AnyScope
from athena_tuning.recall.request import RecallRequest, takes
from athena_tuning.store import ConfigChange

TIMEOUT_SECONDS = 30.0

_BATCH = 500
_PATIENCE_SECONDS = 5.0
"""What may be carried out once is asked again when it was not answered for so long."""


class RecallCluster(Closeable):
    """Asks the managers of a cluster; its methods are those of ``MemoryManager``, and mean the same.

    All methods may be called from any thread, ``arecall`` from any event loop. It has one thread. Context
    variables do not travel: where answers depend on who asks (``MemoryManager(identity=...)``), say so in
    ``context`` or ``scope``.

    Args:
        url: the cluster: ``nats://HOST:PORT[/NAME]``; see ``Address.parse``.
        timeout_seconds: after which what got no answer fails.

    Raises:
        ValueError: if the URL is none.
        BrokerAway: if no broker answers there.
    """

    def __init__(self, url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self.address = Address.parse(url)
        self._timeout = timeout_seconds
        self._connection = Connection(self.address, "cluster client")
        self._fleet = Fleet(self._connection)
        name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._dispatcher = RecallDispatcher(self._connection, self._fleet, name, timeout_seconds)
        self._watching = self._connection.submit(self._fleet.watch())

    # Recalling

    @takes(RecallRequest)
    def recall(self, request: RecallRequest) -> dict[str, Any]:
        """Ask a member of the cluster: the answer is that of ``MemoryManager.recall``.

        ``_member`` says who gave it; ``_latency_ms`` is that of the caller, the way to the member included.

        Raises:
            ValueError: if an argument makes no sense, or cannot go over the wire.
            NobodyThere: if no manager of the cluster is there.
            BrokerAway: if the broker is not back after five seconds.
            TimeoutError: if no answer comes in time.
        """
        return self._connection.run(self._dispatcher.recall(request, current_source(), trace_headers()))

    @takes(RecallRequest)
    async def arecall(self, request: RecallRequest) -> dict[str, Any]:
        """Do as ``recall`` does, with the same arguments, without blocking the running loop."""
        work = self._dispatcher.recall(request, current_source(), trace_headers())
        return await self._connection.arun(work)

    @property
    def counts_of_tries(self) -> Mapping[str, int]:
        """Recalls asked here, busy replies, hedges, hedges that won, tries because a member was gone."""
        names = ("recalls", "busy", "hedges", "hedges_won", "retries")
        return {name: self._dispatcher.counts[name] for name in names}

    def delay_seconds(self, query: str) -> float:
        """Return after how long a recall of this query that got no answer is tried elsewhere."""
        return self._dispatcher.delays.of(classify(query))

    # Remembering

    def remember(self, item: Item | Mapping[str, Any], *, idempotency_key: str | None = None) -> str:
        """See ``MemoryManager``."""
        kept = item if isinstance(item, Item) else Item.from_dict(item)
        try:
            self.remember_many([kept], idempotency_key=idempotency_key)
        except BadItems as exc:
            raise ValueError(exc.bad[0][1]) from exc
        return kept.id

    def remember_many(
        self,
        items: Iterable[Item | Mapping[str, Any]],
        progress: Callable[[int], None] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> dict[str, int]:
        """See ``MemoryManager``. What was not answered is sent again with its key, and kept once."""
        key, waiting = idempotency_key or uuid.uuid4().hex, iter(items)
        kept: dict[str, int] = {}
        bad: list[tuple[int, str]] = []
        sent = 0
        while batch := list(islice(waiting, _BATCH)):
            try:
                came = self._write_batch(batch, f"{key}-{sent}")
            except BadItems as exc:
                came = exc.kept
                bad += [(position + sent, why) for position, why in exc.bad]
            kept = {name: kept.get(name, 0) + came.get(name, 0) for name in {**kept, **came}}
            sent += len(batch)
            if progress is not None:
                progress(sum(kept.values()))
        if bad:
            raise BadItems(bad, kept)
        return kept

    def _write_batch(self, batch: list[Any], key: str) -> dict[str, int]:
        """Send a batch, in halves where it is too large for a message."""
        plain = [item.to_dict() if isinstance(item, Item) else item for item in batch]
        if len(plain) == 1 or len(wire.encode(plain)) < self._connection.client.max_payload // 2:
            kept: dict[str, int] = self._ask("remember_many", items=plain, idempotency_key=key)
            return kept
        half = len(plain) // 2
        one, bad, other = {}, [], {}
        try:
            one = self._write_batch(plain[:half], f"{key}a")
        except BadItems as exc:
            one, bad = exc.kept, list(exc.bad)
        try:
            other = self._write_batch(plain[half:], f"{key}b")
        except BadItems as exc:
            other, bad = exc.kept, bad + [(position + half, why) for position, why in exc.bad]
        kept = {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}
        if bad:
            raise BadItems(bad, kept)
        return kept

    def forget(
        self,
        item_id: str,
        scope: str | AnyScope | None = ANY_SCOPE,
        *,
        idempotency_key: str | None = None,
    ) -> bool:
        """See ``MemoryManager``."""
        return self.forget_many([item_id], scope, idempotency_key=idempotency_key) == 1

    def forget_many(
        self,
        item_ids: Iterable[str],
        scope: str | AnyScope | None = ANY_SCOPE,
        *,
        idempotency_key: str | None = None,
    ) -> int:
        """See ``MemoryManager``."""
        key, waiting, known, sent = idempotency_key or uuid.uuid4().hex, iter(dict.fromkeys(item_ids)), 0, 0
        while batch := list(islice(waiting, _BATCH)):
            batched: dict[str, Any] = {
                "ids": batch,
                "idempotency_key": f"{key}-{sent}",
                **scope_to_wire(scope),
            }
            known += self._ask("forget_many", **batched)
            sent += len(batch)
        return known

    def item(self, item_id: str, scope: str | AnyScope | None = ANY_SCOPE) -> Item | None:
        """See ``MemoryManager``."""
        item: Item | None = self._ask("item", id=item_id, **scope_to_wire(scope))
        return item

    def counts(self) -> dict[str, int]:
        """See ``MemoryManager``."""
        counted: dict[str, int] = self._ask("counts")
        return counted

    def record_feedback(self, query_id: str, score: float) -> bool:
        """See ``MemoryManager``. Whoever gave the answer is told, or all where that is not known."""
        giver = self._dispatcher.member_of(query_id)
        members = [giver] if giver else [member.id for member in self.members()]
        for member in members:
            try:
                if self._ask("record_feedback", to=member, query_id=query_id, score=score):
                    return True
            except (ConnectionError, TimeoutError):
                continue  # it is gone, and its records with it
        return False

    # Configs

    @property
    def configs(self) -> ConfigSet:
        """The configs in force at a member; at all of them, within moments."""
        return self.configs_of("")

    def configs_of(self, member: str) -> ConfigSet:
        """Return the configs in force at one member, by its id."""
        in_force: ConfigSet = self._ask("configs", to=member)
        return in_force

    @property
    def config(self) -> TuningConfig:
        """The config in force for all types."""
        return self.configs.default.config

    @property
    def mode(self) -> Mode:
        """Who steers."""
        return self.configs.default.mode

    def apply_configs(self, changes: Sequence[ConfigChange]) -> list[ConfigVersion]:
        """See ``MemoryManager``."""
        keyed = [replace(c, idempotency_key=c.idempotency_key or uuid.uuid4().hex) for c in changes]
        written: list[ConfigVersion] = self._ask("apply_configs", changes=keyed)
        return written

    def apply_config(self, config: TuningConfig, **how: Any) -> ConfigVersion:
        """See ``MemoryManager``, also for what ``how`` may be."""
        [version] = self.apply_configs([ConfigChange(config, **how)])
        return version

    def set_mode(self, mode: Mode, *, actor: str, reason: str, scope: str = "all") -> list[ConfigVersion]:
        """See ``MemoryManager``."""
        arguments = {"mode": Mode(mode), "actor": actor, "reason": reason, "scope": scope}
        written: list[ConfigVersion] = self._ask("set_mode", **arguments)
        return written

    def update_tuning_strategy(
        self, strategy: TuningStrategy, *, actor: str = "operator", reason: str | None = None
    ) -> list[ConfigVersion]:
        """See ``MemoryManager``."""
        arguments: dict[str, Any] = {"strategy": TuningStrategy(strategy), "actor": actor, "reason": reason}
        written: list[ConfigVersion] = self._ask("update_tuning_strategy", **arguments)
        return written

    def roll_back(self, version: int, *, actor: str, reason: str) -> ConfigVersion:
        """See ``MemoryManager``."""
        written: ConfigVersion = self._ask("roll_back", version=version, actor=actor, reason=reason)
        return written

    def undo(self, *, actor: str, scope: str = "all") -> list[ConfigVersion]:
        """See ``MemoryManager``."""
        written: list[ConfigVersion] = self._ask("undo", actor=actor, scope=scope)
        return written

    def end_exception(self, query_type: str, *, actor: str, reason: str) -> ConfigVersion:
        """See ``MemoryManager``."""
        arguments = {"query_type": query_type, "actor": actor, "reason": reason}
        written: ConfigVersion = self._ask("end_exception", **arguments)
        return written

    # Reports

    @property
    def layers(self) -> tuple[str, ...]:
        """See ``MemoryManager``."""
        names: tuple[str, ...] = self._ask("layers")
        return names

    def layer_health(self) -> dict[str, LayerHealth]:
        """See ``MemoryManager``: as one member sees them."""
        health: dict[str, LayerHealth] = self._ask("layer_health")
        return health

    def status(self) -> WorkerStatus:
        """See ``MemoryManager``: of one member. ``members`` tells of all."""
        status: WorkerStatus = self._ask("status")
        return status

    def get_tuning_report(self) -> dict[str, Any]:
        """See ``MemoryManager``: where members share a store, over the recalls of all."""
        report: dict[str, Any] = self._ask("get_tuning_report")
        return report

    def get_performance_statistics(self) -> dict[str, Any]:
        """See ``MemoryManager``: of one member's window."""
        statistics: dict[str, Any] = self._ask("get_performance_statistics")
        return statistics

    def members(self) -> list[Member]:
        """Return who is there now."""
        return self._connection.run(fleet.look(self._connection))

    def close(self) -> None:
        """Leave. May be called twice."""
        self._watching.cancel()
        self._connection.close()

    # How a method is asked

    def _ask(self, name: str, /, *, to: str = "", **arguments: Any) -> Any:
        method = METHODS[name]
        data = wire.encode({"method": name, "arguments": msgspec.to_builtins(arguments)})
        if len(data) > self._connection.client.max_payload:
            raise ValueError(
                f"{name} would send {len(data):,} bytes in one message, and the broker carries "
                f"{self._connection.client.max_payload:,}: set max_payload in its configuration"
            )
        value = self._connection.run(self._carry(name, data, to, again=method.is_repeatable))
        return msgspec.convert(value, method.returns)

    async def _carry(self, name: str, data: bytes, to: str, *, again: bool) -> Any:
        subject = self.address.of(to, "ask") if to else self.address.ask
        until = time.monotonic() + self._timeout
        while (left := until - time.monotonic()) > 0:
            if not self._connection.is_up:
                await asyncio.sleep(0.05)
                continue
            reply = await self._connection.send(subject, data)
            try:
                async with asyncio.timeout(min(_PATIENCE_SECONDS, left) if again else left):
                    msg = await reply
            except TimeoutError:
                if again:
                    continue
                raise TimeoutError(
                    f"{name} was sent and not answered: look at the history before you try again"
                ) from None
            status = wire.status_of(msg)
            if status == wire.NO_RESPONDERS:
                raise wire.nobody_there(self.address)
            if status:
                raise wire.decode_error(msg.data)
            return wire.decode(msg.data)["value"]
        if not self._connection.is_up:
            raise BrokerAway(f"the broker at {self.address.shown} is away")
        raise TimeoutError(f"{name} got no answer within {self._timeout:g} s")
