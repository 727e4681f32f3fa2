"""Sends recalls as OpenTelemetry spans; it needs the extra ``otel``, and ``otlp`` for a collector."""

from __future__ import annotations

import hashlib
import logging
import math
import threading
from collections.abc import Iterator

from athena_tuning.closeable import Closeable
from athena_tuning.extras import needs_extra

with needs_extra("otel", "OpenTelemetry"):
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from athena_tuning.control.periodic import PeriodicTask, PeriodicThread
from athena_tuning.integrations.callers import UNKNOWN, Caller, Callers
from athena_tuning.integrations.span_attributes import layer_attributes, recall_attributes
from athena_tuning.model import QueryMetrics, TaskOutcome
from athena_tuning.model.source import is_evidence
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.store.text_policy import TextPolicy, text_policy, without_quotes

logger = logging.getLogger(__name__)

EVERY_SECONDS = 1.0
RECALL_SPAN = "recall"

_BATCH = 200
_GIVE_UP_SECONDS = 4.0  # and try again at the next turn
_SCOPE = InstrumentationScope("athena_tuning")


class SpanExport(Closeable):
    """Sends a span for each live recall, with a child for each layer, at the times at which they really ran.

    Where a recall was made within a span it hangs below that, and is not sent if that is not sampled; else
    it begins a trace. It says of itself what OpenInference and OpenTelemetry's gen_ai say of retrievals, so
    that their viewers show it as one: with the ids and scores of what was found, and their texts only where
    ``texts`` says so.

    A thread of its own reads what the profiler recorded, so recalls never wait for it. What cannot be
    delivered is tried again for as long as the window holds it; ids come from the recall's own, so nothing
    is there twice. Recalls that were given up have no end and are left out.

    Args:
        profiler: whose recalls.
        exporter: where to.
        instance: name of this process among those that send.
        texts: whether to send what was asked, and the texts of what was found; not where
            ``ATHENA_TUNING_TEXTS`` keeps texts in the process.

    Attributes:
        sent: recalls sent.
        unsampled: recalls whose callers' spans are not sampled.
        missed: records that left the window before they could be sent.
    """

    def __init__(
        self, profiler: PerformanceProfiler, exporter: SpanExporter, instance: str, *, texts: bool = False
    ) -> None:
        self.sent = 0
        self.unsampled = 0
        self.missed = 0
        self._profiler = profiler
        self._exporter = exporter
        self._texts = texts and text_policy() is TextPolicy.KEEP
        named = {"service.name": "athena_tuning", "service.instance.id": instance}
        self._resource = Resource.create(named).merge(OTELResourceDetector().detect())
        self._cursor = 0
        self._batch: list[tuple[QueryMetrics, Caller]] = []
        self._callers = Callers(profiler)
        self._turn = threading.Lock()
        self._sending = PeriodicThread(
            "span export", [PeriodicTask("span export", EVERY_SECONDS, self.send, self.send)]
        )
        self._sending.start()

    def send(self) -> None:
        """Send what is there.

        Raises:
            ConnectionError: if it is not taken; call again later.
        """
        with self._turn:
            while self._batch or self._take():
                spans = [
                    span
                    for m, caller in self._batch
                    for span in spans_of(m, self._resource, caller, texts=self._texts)
                ]
                if self._exporter.export(spans) is not SpanExportResult.SUCCESS:
                    raise ConnectionError(f"{len(self._batch)} recalls could not be sent as spans")
                self.sent += len(self._batch)
                self._batch = []

    def close(self) -> None:
        """Send what is left and end the thread. May be called twice."""
        self._callers.close()
        self._sending.close()
        self._exporter.shutdown()

    def _take(self) -> bool:
        while not self._batch:
            records, self._cursor, missed = self._profiler.read_since(self._cursor, _BATCH)
            self.missed += missed
            if not records:
                return False
            exported = [(m, self._callers.take(m.query_id)) for m in records]
            live = [(m, of) for m, of in exported if is_evidence(m.source) and m.latency_ms is not None]
            self._batch = [(m, of) for m, of in live if of.wants_spans]
            self.unsampled += len(live) - len(self._batch)
        return True


def otlp_exporter(endpoint: str) -> SpanExporter:
    """Return an exporter to an OpenTelemetry collector; it needs the extra ``otlp``.

    Args:
        endpoint: where the collector listens for OTLP over HTTP; ``/v1/traces`` is added to a bare address.

    Raises:
        MissingExtra: if the extra is not installed.
        ValueError: if it is no address.
    """
    with needs_extra("otlp", "The way to a collector"):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    if not endpoint.startswith(("http://", "https://")):
        raise ValueError(f"a collector's address begins with http:// or https://, not {endpoint!r:.80}")
    bare = endpoint.rstrip("/")
    address = f"{bare}/v1/traces" if bare.count("/") == 2 else endpoint
    return OTLPSpanExporter(address, timeout=_GIVE_UP_SECONDS)


def spans_of(
    m: QueryMetrics, resource: Resource, caller: Caller = UNKNOWN, *, texts: bool = False
) -> Iterator[ReadableSpan]:
    """Give the span of a recall, then those of its layers.

    Args:
        m: the recall.
        resource: who measured it.
        caller: the span within which it was made, and what it found.
        texts: whether to send what was asked, and the texts of what was found; without, errors are cut where
            they may quote it.
    """
    policy = TextPolicy.KEEP if texts else TextPolicy.DROP
    within = caller.span
    trace_id = _number(m.query_id, 16) if within is None else within.trace_id
    fraction, seconds = math.modf(m.timestamp)
    begun = int(seconds) * 10**9 + round(fraction * 1e9)  # in one product a float would be 200 ns off
    above = _context(trace_id, f"{m.query_id} recall")
    yield ReadableSpan(
        RECALL_SPAN,
        above,
        within,
        resource,
        recall_attributes(m, caller.found, texts=texts),
        kind=SpanKind.INTERNAL,
        status=_status(failed=m.success is False, words=without_quotes(m.error, policy)),
        start_time=begun,
        end_time=begun + round((m.latency_ms or 0.0) * 1e6),
        instrumentation_scope=_SCOPE,
    )
    for number, task in enumerate(m.tasks):
        started = begun + round((task.offset_ms + task.queue_ms) * 1e6)
        yield ReadableSpan(
            task.layer,
            _context(trace_id, f"{m.query_id} {number}"),
            above,
            resource,
            layer_attributes(m, task, caller.found, texts=texts),
            kind=SpanKind.INTERNAL,
            status=_status(failed=task.outcome is not TaskOutcome.OK, words=task.outcome.value),
            start_time=started,
            end_time=started + round(task.service_ms * 1e6),
            instrumentation_scope=_SCOPE,
        )


def _status(*, failed: bool, words: str | None) -> Status:
    return Status(StatusCode.ERROR, words) if failed else Status(StatusCode.OK)


def _context(trace_id: int, name: str) -> SpanContext:
    return SpanContext(
        trace_id, _number(name, 8), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)
    )


def _number(name: str, size: int) -> int:
    """Return a number of so many bytes for a name, never 0, which would stand for none."""
    digest = hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=size).digest()
    return int.from_bytes(digest, "big") or 1
