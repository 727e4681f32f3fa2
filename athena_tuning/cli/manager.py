"""``athena-tuning manager``: a manager in a process of its own, for dashboards elsewhere to attach to."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from athena_tuning import locations
from athena_tuning.cli.load_options import load_options, spec_of
from athena_tuning.cli.output import layer_option, memory_option, store_option

if TYPE_CHECKING:
    from athena_tuning.cluster import ClusterMember
    from athena_tuning.integrations.prometheus import MetricsServer
    from athena_tuning.integrations.span_export import SpanExport
    from athena_tuning.recall import MemoryManager


@click.command()
@memory_option
@store_option
@click.option(
    "--load", type=click.FloatRange(0, 10_000, min_open=True), metavar="RATE", help="Recalls a second."
)
@load_options
@click.option(
    "--seconds", type=click.FloatRange(0, min_open=True), help="Stop after so long. Default: never."
)
@click.option(
    "--metrics-port", type=click.IntRange(0, 65535), help="Serve Prometheus metrics; 0: a free port."
)
@click.option(
    "--metrics-host", default="127.0.0.1", show_default=True, help="Address to serve the metrics on."
)
@click.option(
    "--otlp",
    metavar="URL",
    help="Send recalls as OpenTelemetry spans, for instance to http://localhost:4318.",
)
@layer_option
@click.option("--otlp-texts", is_flag=True, help="Send with the spans what was asked.")
@click.option("--serve", "cluster", metavar="URL", help="Answer in a cluster: nats://HOST:PORT[/NAME].")
@click.option("--with-parent", is_flag=True, hidden=True, help="Stop when standard input ends.")
def manager(
    memory: str | None,
    store: str | None,
    load: float | None,
    seconds: float | None,
    metrics_port: int | None,
    metrics_host: str,
    otlp: str | None,
    otlp_texts: bool,
    layers: tuple[str, ...],
    cluster: str | None,
    with_parent: bool,
    **values: Any,
) -> None:
    """Run a manager that shares its metrics and obeys the store's configs, until Ctrl+C.

    It takes load orders too (`athena-tuning load run --on`). Where the memory file is missing it is made from
    the sample memory; --load, --clients or --replay ask the sample's questions meanwhile.
    """
    from athena_tuning.load.recordings import recorded_for
    from athena_tuning.load.run import LoadRun
    from athena_tuning.model import Source
    from athena_tuning.service.embedded import Embedded
    from athena_tuning.store import open_store
    from athena_tuning.store.text_policy import SETTING, TextPolicy, text_policy

    if otlp_texts and (texts := text_policy()) is not TextPolicy.KEEP:
        raise click.UsageError(
            f"{SETTING} is {texts}: what was asked may not be sent; leave --otlp-texts out"
        )
    loaded = load is not None or values["clients"] or values["replay_of"]
    spec = spec_of(load or 10.0, seconds, values) if loaded else None
    url = store or locations.default_store_url()
    path = Path(memory) if memory else locations.default_memory()
    stop = threading.Event()
    if with_parent:
        threading.Thread(target=_stop_at_end_of_input, args=(stop,), name="parent watch", daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with ExitStack() as until_stopped:
        opened = until_stopped.enter_context(open_store(url))
        here = until_stopped.enter_context(closing(Embedded(path, opened)))
        for name in layers:
            _register(here.manager, name)
        if metrics_port is not None:
            served = until_stopped.enter_context(_metrics(here.manager, metrics_port, metrics_host))
            click.echo(f"metrics on http://{metrics_host}:{served.port}/metrics")
        if otlp is not None:
            until_stopped.enter_context(_spans(here.manager, otlp, texts=otlp_texts))
            click.echo(f"spans to {otlp}")
        member = until_stopped.enter_context(_serving(here.manager, cluster)) if cluster else None
        if spec is not None:
            recorded = recorded_for(spec, opened)
            asking = LoadRun(here.manager, spec, recorded=recorded, source=Source.LIVE.value)
            until_stopped.callback(asking.stop)  # before what tells of its recalls is closed
            asking.start()
        click.echo(f"manager {here.manager.worker_id} over {path} on {url}  (Ctrl+C stops it)")
        _wait(stop, seconds, member)
    click.echo(f"stopped after {here.manager.status().recalls} recalls")


def run_until_input_ends(arguments: Sequence[str]) -> None:
    """Run the command with these arguments in this process, until Ctrl+C or the end of standard input."""
    manager.main(["--with-parent", *arguments], prog_name="athena-tuning manager")


def _wait(stop: threading.Event, seconds: float | None, member: ClusterMember | None) -> None:
    """Wait until it is time to stop, in steps: a signal that another thread took is handled between two."""
    ends = math.inf if seconds is None else time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0 and not stop.wait(min(left, 0.5)):
        if member is not None and member.is_leaving:
            return


def _stop_at_end_of_input(stop: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    stop.set()


def _serving(manager: MemoryManager, url: str) -> ClusterMember:
    from athena_tuning.cluster import serve

    member = serve(manager, url)
    click.echo(f"answers as {member.id} in the cluster {member.address.shown}")
    return member


def _register(manager: MemoryManager, name: str) -> None:
    try:
        manager.register_layer(name)
    except ValueError as error:
        raise click.UsageError(f"--layer: {error}") from error


def _metrics(manager: MemoryManager, port: int, host: str) -> MetricsServer:
    from athena_tuning.integrations.prometheus import MetricsServer

    return MetricsServer(manager, port, host)


def _spans(manager: MemoryManager, url: str, *, texts: bool) -> SpanExport:
    from athena_tuning.integrations.span_export import SpanExport, otlp_exporter

    return SpanExport(manager.profiler, otlp_exporter(url), manager.worker_id, texts=texts)
