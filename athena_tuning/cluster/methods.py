"""What a manager can be asked beside recalls: how each method is carried out, and what comes back."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from athena_tuning.cluster import wire
from athena_tuning.cluster.wire import Envelope
from athena_tuning.model import ConfigSet, ConfigVersion, LayerHealth, Mode, TuningStrategy, WorkerStatus
from athena_tuning.model.source import recorded_as
from athena_tuning.recall import MemoryManager
from athena_tuning.recall.attempt import Attempt, attempted
from athena_tuning.recall.items import Item
from athena_tuning.recall.memory import ANY_SCOPE, AnyScope
from athena_tuning.recall.request import RecallRequest
from athena_tuning.store import ConfigChange


@dataclass(frozen=True, slots=True)
class Method:
    """A method of a manager.

    Attributes:
        carry_out: does it, with arguments as they came over the wire.
        returns: type of what comes back.
        is_repeatable: whether to ask again where no answer came: it only looks, or has a key that lets it be
            carried out once.
    """

    carry_out: Callable[[MemoryManager, Mapping[str, Any]], Any]
    returns: Any
    is_repeatable: bool = True


def scope_to_wire(scope: str | AnyScope | None) -> dict[str, Any]:
    """Return the argument that says a scope; nothing for any."""
    return {} if isinstance(scope, AnyScope) else {"scope": scope}


def _forget(manager: MemoryManager, given: Mapping[str, Any]) -> int:
    scope = given.get("scope", ANY_SCOPE)
    return manager.forget_many(given["ids"], scope, idempotency_key=given.get("idempotency_key"))


def _remember(manager: MemoryManager, given: Mapping[str, Any]) -> dict[str, int]:
    return manager.remember_many(given["items"], idempotency_key=given.get("idempotency_key"))


def _apply(manager: MemoryManager, given: Mapping[str, Any]) -> list[ConfigVersion]:
    return manager.apply_configs(msgspec.convert(given["changes"], list[ConfigChange]))


def _set_mode(manager: MemoryManager, given: Mapping[str, Any]) -> list[ConfigVersion]:
    return manager.set_mode(Mode(given["mode"]), **_named(given, "actor", "reason", "scope"))


def _switch(manager: MemoryManager, given: Mapping[str, Any]) -> list[ConfigVersion]:
    strategy = TuningStrategy(given["strategy"])
    return manager.update_tuning_strategy(strategy, **_named(given, "actor", "reason"))


def _refuse(manager: MemoryManager, given: Mapping[str, Any]) -> list[Any]:
    return [
        refuse(
            manager,
            wire.request_of(refused["body"], envelope := Envelope.from_headers(refused["headers"])),
            envelope,
            refused["why"],
            refused["retry_after_s"],
        )
        for refused in given["recalls"]
    ]


def refuse(
    manager: MemoryManager, request: RecallRequest, envelope: Envelope, why: str, retry_after: float
) -> dict[str, Any]:
    """Return the answer of a recall for which there is no room, and have it recorded."""
    attempt = Attempt(envelope.query_id or uuid.uuid4().hex)
    with attempted(attempt), recorded_as(envelope.source):
        answer = manager.refuse(request, why, retry_after)
    attempt.record()
    return answer


def _named(given: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: given[name] for name in names if name in given}


METHODS: Mapping[str, Method] = {
    "remember_many": Method(_remember, dict[str, int]),
    "forget_many": Method(_forget, int),
    "record_feedback": Method(lambda m, given: m.record_feedback(given["query_id"], given["score"]), bool),
    "apply_configs": Method(_apply, list[ConfigVersion]),
    "set_mode": Method(_set_mode, list[ConfigVersion], is_repeatable=False),
    "update_tuning_strategy": Method(_switch, list[ConfigVersion], is_repeatable=False),
    "roll_back": Method(lambda m, given: m.roll_back(**given), ConfigVersion, is_repeatable=False),
    "undo": Method(lambda m, given: m.undo(**given), list[ConfigVersion], is_repeatable=False),
    "end_exception": Method(lambda m, given: m.end_exception(**given), ConfigVersion, is_repeatable=False),
    "refuse": Method(_refuse, list[dict[str, Any]], is_repeatable=False),
    "configs": Method(lambda m, _: m.configs, ConfigSet),
    "counts": Method(lambda m, _: m.counts(), dict[str, int]),
    "layers": Method(lambda m, _: m.layers, tuple[str, ...]),
    "item": Method(lambda m, given: m.item(given["id"], given.get("scope", ANY_SCOPE)), Item | None),
    "layer_health": Method(lambda m, _: m.layer_health(), dict[str, LayerHealth]),
    "status": Method(lambda m, _: m.status(), WorkerStatus),
    "get_tuning_report": Method(lambda m, _: m.get_tuning_report(), dict[str, Any]),
    "get_performance_statistics": Method(lambda m, _: m.get_performance_statistics(), dict[str, Any]),
}
"""By name, as ``RecallCluster`` has them; ``refuse`` is what a client asks that has no room for recalls."""
