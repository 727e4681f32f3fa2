"""``athena-tuning status`` and ``workers``: is it healthy, and who runs what."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.text import Text

from athena_tuning.cli.access import attached, moment
from athena_tuning.cli.output import as_json, console, print_json, print_table, sources_option, store_option
from athena_tuning.model.source import MEASURED
from athena_tuning.service import units

_COLUMNS = {
    "worker_id": "worker",
    "alive": "",
    "pid": "pid",
    "last_seen": "last seen",
    "config_version": "config",
    "recalls": "recalls",
    "dropped_metrics": "dropped",
    "rejected_metrics": "rejected",
}

_EVENTS = 10


@click.command()
@click.option(
    "--minutes", default=15.0, show_default=True, type=click.FloatRange(0, min_open=True), help="Look back."
)
@sources_option(MEASURED)
@store_option
@as_json
def status(minutes: float, sources: frozenset[str] | None, store: str | None, as_json: bool) -> None:
    """Show strategy, mode, config version, managers, latency, and what happened to the store lately."""
    with attached(store, hours=minutes / 60) as service:
        service.tail.look()
        if service.tail.problem:
            raise click.ClickException(service.tail.problem)
        standing, by_source = service.standing(), service.window.sources()
        recent = service.window.summary(sources=sources)
        health, events = service.store_health(), service.events()
    if as_json:
        print_json(
            {
                "standing": asdict(standing),
                "recent": asdict(recent),
                "by_source": by_source,
                "store": asdict(health),
                "events": [asdict(event) for event in events],
            }
        )
        return
    told = f"{standing.strategy} · {standing.mode} · config version {standing.version}"
    console().print(Text(f"{told} · managers alive: {standing.workers_alive}"))
    if standing.blocked:
        console().print(Text(f"read-only: {standing.blocked}"))
    console().print(Text(f"\nrecalls in the last {minutes:g} minutes: {recent.count}"))
    if len(by_source) > 1:
        told = ", ".join(f"{units.count(n)} {source}" for source, n in by_source.items())
        console().print(Text(f"by source: {told}"))
    if recent.count:
        row = [
            recent.p50_latency_ms,
            recent.p95_latency_ms,
            recent.p99_latency_ms,
            recent.errors,
            recent.partial,
            recent.refused,
            recent.throughput_per_s,
        ]
        print_table(["p50 ms", "p95 ms", "p99 ms", "failed", "partial", "refused", "recalls/s"], [row])
    console().print(Text(f"\nstore {health.store_id}, epoch {health.epoch}"))
    if health.unreadable:
        console().print(
            Text(f"rows that cannot be read: {len(health.unreadable)} (`athena-tuning store check`)")
        )
    if events:
        print_table(
            ["when", "event", "what happened"],
            [[moment(event.time), event.kind, event.text] for event in events[:_EVENTS]],
        )


@click.command()
@store_option
@as_json
def workers(store: str | None, as_json: bool) -> None:
    """List the managers that share the store, last seen first."""
    with attached(store) as service:
        now = service.now
        known = [(worker, service.is_alive(worker)) for worker in service.workers()]
    if as_json:
        print_json([{**worker.to_dict(), "alive": alive} for worker, alive in known])
        return
    rows = []
    for worker, alive in known:
        told = worker.to_dict() | {
            "alive": "alive" if alive else "gone",
            "last_seen": units.ago(now - worker.last_seen),
        }
        rows.append([told[name] for name in _COLUMNS])
    print_table(list(_COLUMNS.values()), rows)
