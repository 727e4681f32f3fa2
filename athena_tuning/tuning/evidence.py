"""What a decision rests on: a frozen record, from which the same decision can be made again."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import msgspec

from athena_tuning.model import ConfigSet, TuningBounds, TuningConfig, TuningStrategy
from athena_tuning.tuning.estimation.contention import Contention
from athena_tuning.tuning.estimation.contributions import QuestionEvidence
from athena_tuning.tuning.estimation.daily_load import DailyLoad
from athena_tuning.tuning.estimation.layer_value import LayerValue
from athena_tuning.tuning.estimation.packed_telemetry import (
    CurveColumns,
    RecallColumns,
    packed_curve,
    packed_recalls,
    unpacked_curve,
    unpacked_recalls,
)
from athena_tuning.tuning.estimation.stretches import Stretches
from athena_tuning.tuning.estimation.telemetry import Telemetry
from athena_tuning.tuning.estimation.window_figures import WindowFigures

FORMAT = 2


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a policy sees when it is asked.

    Attributes:
        configs: the configs in force.
        strategy: what the operator wants most.
        bounds: the range to choose from.
        min_samples: recalls below which nothing is concluded.
        interval: recalls between two decisions of a policy that has no rhythm of its own.
        now: Unix seconds.
        fresh: recalls recorded since the policy was last asked to decide.
        urgent: whether the strategy has changed since then.
        telemetry: the newest recalls, stretches of the last hours, and what is known of contention.
        load: recalls by the time of day.
        values: what each layer adds to the answers of each type.
        questions: what is known of the questions of each type.
        figures: of the window, "all" and by type; empty where the policy does not read them.
        idempotent: layers that say that they may be asked twice.
        memory: what the policy remembers.
        policy: the name of the policy that is asked.
        held: why the limit must not go up now, in words; "" if it may. ``bounds`` say so, too.
    """

    configs: ConfigSet
    strategy: TuningStrategy
    bounds: TuningBounds
    min_samples: int
    interval: int
    now: float
    fresh: int = 0
    urgent: bool = False
    telemetry: Telemetry = field(default_factory=Telemetry)
    load: DailyLoad = field(default_factory=DailyLoad)
    values: Mapping[str, Mapping[str, LayerValue]] = field(default_factory=dict)
    questions: Mapping[str, QuestionEvidence] = field(default_factory=dict)
    figures: Mapping[str, WindowFigures] = field(default_factory=dict)
    idempotent: frozenset[str] = frozenset()
    memory: Any = None
    policy: str = ""
    held: str = ""

    def incumbent(self, scope: str) -> TuningConfig:
        """Return the config in force for "all" or for a query type."""
        return self.configs.default.config if scope == "all" else self.configs.for_type(scope)


def pack(evidence: Evidence) -> bytes:
    """Return the evidence in at most 300 kB: MessagePack and columns, compressed.

    It holds no texts, but words that many questions have, where the store keeps texts.

    What ``unpack`` makes of it leads to the same decision, to the last digit.
    """
    telemetry = evidence.telemetry
    packed = _Packed(
        FORMAT,
        replace(evidence, telemetry=Telemetry()),
        packed_recalls(telemetry.recalls),
        packed_curve(telemetry.contention.curve),
        (telemetry.position, telemetry.learned, telemetry.tasks),
        tuple(packed_recalls(stretch) for stretch in telemetry.stretches.whole),
    )
    return zlib.compress(msgspec.msgpack.encode(packed, enc_hook=_plain))


def unpack(data: bytes) -> Evidence:
    """Return the evidence that ``pack`` packed; its memory is in plain types, see ``Policy.restored``.

    Raises:
        ValueError: if it is damaged, or of a newer program.
    """
    try:
        packed = msgspec.msgpack.decode(zlib.decompress(data), type=_Packed, dec_hook=_refused)
    except (zlib.error, msgspec.MsgspecError) as exc:
        raise ValueError(f"this is no evidence that can be read: {exc}") from exc
    if packed.format > FORMAT:
        raise ValueError(f"evidence of format {packed.format}; this program reads {FORMAT}: update it")
    position, learned, tasks = packed.counts
    contention = Contention(fitted=unpacked_curve(packed.curve))
    recalls = unpacked_recalls(packed.recalls)
    whole = tuple(map(unpacked_recalls, packed.stretches))
    stretches = Stretches(whole, whole_tasks=sum(len(recall.tasks) for s in whole for recall in s))
    telemetry = Telemetry(recalls, position, contention, learned, tasks, stretches)
    return replace(packed.evidence, telemetry=telemetry)


@dataclass(frozen=True, slots=True)
class _Packed:
    format: int
    evidence: Evidence
    recalls: RecallColumns
    curve: CurveColumns | None
    counts: tuple[int, int, int]
    stretches: tuple[RecallColumns, ...] = ()


def _plain(value: Any) -> Any:
    """Return what msgspec does not know as something that it knows."""
    if isinstance(value, MappingProxyType):
        return dict(value)
    raise NotImplementedError(f"{type(value).__name__} is no part of evidence")


def _refused(kind: type, value: Any) -> Any:
    raise NotImplementedError(f"{kind.__name__} is no part of packed evidence")
