"""Prometheus metrics of a manager; it needs the extra ``prometheus``.

Names follow Prometheus's own rules: base units (seconds), ``_total`` for counters, no label without bound. In
many processes each has an endpoint of its own, and Prometheus adds them up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from itertools import accumulate

from athena_tuning.closeable import Closeable
from athena_tuning.extras import needs_extra

with needs_extra("prometheus", "The endpoint for Prometheus"):
    from prometheus_client import (
        CONTENT_TYPE_LATEST,
        CollectorRegistry,
        ProcessCollector,
        generate_latest,
        start_http_server,
    )
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        InfoMetricFamily,
    )
    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import Collector

from athena_tuning.control.periodic import PeriodicTask, PeriodicThread
from athena_tuning.control.worker import Worker
from athena_tuning.integrations.totals import BOUNDS_SECONDS, MOST_NAMES, Counted, Durations, Labels, Totals
from athena_tuning.model import BreakerState, ConfigSet, LayerHealth, LimitScope

PREFIX = "athena_tuning_"
FOLLOW_SECONDS = 1.0
"""How often the totals follow the window between two scrapes."""


class ManagerCollector(Collector):
    """Gives the metrics of a manager when they are asked for.

    Nothing is counted on a recall's way: a scrape reads what the profiler recorded since the last one. The
    window forgets; the totals do not, so counters only grow.

    Args:
        measured: a manager or a control.
        totals: follows its profiler; None: one of its own, which only a scrape keeps up to date.
    """

    def __init__(self, measured: Worker, totals: Totals | None = None) -> None:
        self._measured = measured
        self._totals = totals or Totals(measured.profiler)

    def collect(self) -> Iterable[Metric]:
        """Give all metrics as they are now."""
        self._totals.catch_up()
        counted = self._totals.counted()
        yield from _traffic(counted)
        yield from _losses(self._measured, counted)
        yield from _configs(self._measured.configs)
        yield from _slots(self._measured)
        yield from _layers(getattr(self._measured, "layer_health", dict)())

    def describe(self) -> Iterable[Metric]:
        """Give nothing: names are checked when they are collected."""
        return ()


class Exposition:
    """A manager's metrics with the process's own beside, as Prometheus reads them. Close it: it has a thread.

    Args:
        measured: a manager or a control.

    Attributes:
        registry: of ``prometheus_client``.
        content_type: of what ``text`` returns.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, measured: Worker) -> None:
        totals = Totals(measured.profiler)
        self.registry = CollectorRegistry()
        self.registry.register(ManagerCollector(measured, totals))
        ProcessCollector(registry=self.registry)
        self._following = PeriodicThread(
            "metrics", [PeriodicTask("metrics", FOLLOW_SECONDS, totals.catch_up)]
        )
        self._following.start()

    def text(self) -> bytes:
        """Return the metrics as they are now."""
        return generate_latest(self.registry)

    def close(self) -> None:
        """End the thread. May be called twice."""
        self._following.close()


class MetricsServer(Closeable):
    """An endpoint for Prometheus, ``http://HOST:PORT/metrics``.

    Args:
        measured: a manager or a control.
        port: to listen on; 0: a free one.
        host: address to listen on.

    Attributes:
        port: it listens on.

    Raises:
        OSError: if it cannot listen there.
    """

    def __init__(self, measured: Worker, port: int, host: str = "127.0.0.1") -> None:
        self._exposition = Exposition(measured)
        try:
            self._server, self._thread = start_http_server(port, host, self._exposition.registry)
        except OSError as error:
            self._exposition.close()
            raise OSError(f"metrics cannot be served on {host}:{port}: {error}") from error
        self.port = int(self._server.server_port)

    def close(self) -> None:
        """Stop listening. May be called twice."""
        self._exposition.close()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def _traffic(counted: Counted) -> Iterator[Metric]:
    yield _counter("recalls", "Recalls by type and outcome.", ("type", "outcome"), counted.recalls)
    yield _histogram(
        "recall_duration_seconds",
        "Whole recalls, queue waits included.",
        ("type", "outcome"),
        counted.recall_seconds,
    )
    yield _histogram(
        "layer_duration_seconds",
        "A layer's own time once it had a slot.",
        ("layer", "outcome"),
        counted.layer_seconds,
    )
    yield _histogram(
        "layer_queue_duration_seconds", "A layer's wait for a slot.", ("layer",), counted.queue_seconds
    )
    yield _counter(
        "cache_lookups", "Recalls by whether the cache answered.", ("type", "result"), counted.cache
    )


def _losses(measured: Worker, counted: Counted) -> Iterator[Metric]:
    counters, status = measured.profiler.counters, measured.status()
    dropped = {
        ("window", ""): counters.get("dropped_unread", 0),
        ("store", ""): status.dropped_metrics,
        ("endpoint", ""): counted.missed,
    }
    yield _counter("records_dropped", "Records that did not get there.", ("to",), dropped)
    for what, words in (("rejected", "refused as impossible"), ("normalised", "made normal")):
        samples = {
            (name.removeprefix(f"{what}_"), ""): n
            for name, n in counters.items()
            if name.startswith(f"{what}_")
        }
        yield _counter(f"records_{what}", f"Records {words}.", ("reason",), samples)
    failures = {(duty, ""): n for duty, n in measured.housekeeping_failures.items()}
    yield _counter("housekeeping_failures", "Background duties that failed.", ("duty",), failures)
    yield InfoMetricFamily(
        f"{PREFIX}worker",
        "Which manager this is.",
        {"worker": status.worker_id, "version": version("athena-tuning")},
    )


def _configs(configs: ConfigSet) -> Iterator[Metric]:
    at = {"all": configs.default, **configs.by_type}
    tried = configs.on_trial
    families: dict[str, tuple[str, Mapping[str, float]]] = {
        "config_version": ("Config version in force.", {s: v.version for s, v in at.items()}),
        "config_tried_version": (
            "Config version that has its turns with the one in force; 0 while no experiment runs.",
            {tried.applies_to: tried.version} if tried else {"all": 0},
        ),
        "config_max_concurrent": (
            "Layer tasks that may run at once.",
            {"all": configs.default.config.max_concurrent},
        ),
        "config_timeout_seconds": (
            "Longest service time of a layer task.",
            {s: v.config.timeout_seconds for s, v in at.items()},
        ),
        "config_deadline_seconds": (
            "Longest whole recall, where there is a bound.",
            {s: d for s, v in at.items() if (d := v.config.deadline_seconds) is not None},
        ),
        "config_overload_after_seconds": (
            "Time after which a queue for slots that does not empty is an overload, where it is ever one.",
            {s: a for s in ("all",) if (a := at[s].config.overload_after_seconds) is not None},
        ),
        "config_overload_wait_seconds": (
            "Longest wait for a slot in an overload.",
            {"all": configs.default.config.overload_wait_seconds},
        ),
        "config_limit_shared": (
            "1 if all managers share the limit, 0 if each has it.",
            {"all": float(configs.default.config.limit_scope is LimitScope.FLEET)},
        ),
        "config_cache_enabled": (
            "1 if the cache may answer.",
            {s: v.config.enable_cache for s, v in at.items()},
        ),
        "config_parallel_enabled": (
            "1 if layers run at the same time.",
            {s: v.config.enable_parallel for s, v in at.items()},
        ),
        "config_layer_selection_enabled": (
            "1 if only the layers are asked that a query calls for.",
            {s: v.config.layer_selection_enabled for s, v in at.items()},
        ),
    }
    for name, (words, values) in families.items():
        gauge = GaugeMetricFamily(f"{PREFIX}{name}", words, labels=("scope",))
        for scope, value in values.items():
            gauge.add_metric((scope,), float(value))
        yield gauge
    chosen = InfoMetricFamily(f"{PREFIX}config", "Strategy, and who steers.", labels=("scope",))
    for scope, in_force in at.items():
        chosen.add_metric((scope,), {"strategy": in_force.config.strategy.value, "mode": in_force.mode.value})
    yield chosen


def _slots(measured: Worker) -> Iterator[Metric]:
    """Give the slots for layer tasks, where the manager is ours and has them."""
    families = {
        "limit": "Layer tasks that may hold a slot.",
        "in_flight": "Layer tasks that hold a slot.",
        "waiting": "Layer tasks that wait for a slot.",
    }
    for name, words in families.items():
        if (value := getattr(measured, name, None)) is not None:
            yield GaugeMetricFamily(f"{PREFIX}layer_tasks_{name}", words, value)
    words = "Layer tasks that may be in flight here: the limit, or this worker's share of it."
    yield GaugeMetricFamily(f"{PREFIX}limit_share", words, measured.slots())
    if (seconds := getattr(measured, "overloaded_seconds", None)) is not None:
        words = (
            "For how long recalls have been refused because more come than can be served; 0: they are not."
        )
        yield GaugeMetricFamily(f"{PREFIX}overloaded_seconds", words, seconds)


def _layers(health: Mapping[str, LayerHealth]) -> Iterator[Metric]:
    """Give the health of layers, where the manager is ours and knows it."""
    known = list(health.values())[:MOST_NAMES]
    state = GaugeMetricFamily(
        f"{PREFIX}layer_breaker", "1 for the state that a layer's breaker is in.", labels=("layer", "state")
    )
    for layer in known:
        for each in BreakerState:
            state.add_metric((layer.layer, each.value), float(layer.state is each))
    yield state
    counts = {
        "layer_left_out": ("Recalls that went without a layer that was down.", "left_out"),
        "layer_lost_seconds": ("Slot time of calls that failed or took too long.", "lost_seconds"),
        "layer_stale_answers": ("Expired answers given for a layer that was down.", "stale_answers"),
    }
    for name, (words, field) in counts.items():
        yield _counter(name, words, ("layer",), {(layer.layer, ""): getattr(layer, field) for layer in known})
    sizes = {
        "index_bytes": "Bytes of a layer's index in the memory file.",
        "returned_bytes": "Bytes of the items that a layer gave a recall, as JSON, in the mean of samples.",
        "peak_bytes": "Most Python memory that a call took while no other task was in flight, of samples.",
    }
    for field, words in sizes.items():
        gauge = GaugeMetricFamily(f"{PREFIX}layer_{field}", words, labels=("layer",))
        for layer in known:
            if (size := getattr(layer, field)) is not None:
                gauge.add_metric((layer.layer,), size)
        yield gauge


def _counter(name: str, words: str, labels: tuple[str, ...], values: Mapping[Labels, int]) -> Metric:
    family = CounterMetricFamily(f"{PREFIX}{name}", words, labels=labels)
    for key, value in values.items():
        family.add_metric(key[: len(labels)], value)
    return family


def _histogram(name: str, words: str, labels: tuple[str, ...], values: Mapping[Labels, Durations]) -> Metric:
    family = HistogramMetricFamily(f"{PREFIX}{name}", words, labels=labels)
    bounds = [*(f"{bound:g}" for bound in BOUNDS_SECONDS), "+Inf"]
    for key, durations in values.items():
        counts = list(zip(bounds, accumulate(durations.counts), strict=True))
        family.add_metric(key[: len(labels)], counts, durations.sum)
    return family
