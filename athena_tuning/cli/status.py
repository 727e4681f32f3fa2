"""``athena-tuning status`` and ``workers``: is it healthy, and who runs what."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.text import Text

from athena_tuning.cli.access import attached, moment
from athena_tuning.cli.output import as_json, console, print_json, print_table, sources_option, store_option
from athena_tuning.model.source import MEASURED
from athena_tuning.service import units
from athena_tuning.service.facts import Act, WayOut

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
_DAY_HOURS = 25.0


@click.command()
@click.option(
    "--minutes", default=15.0, show_default=True, type=click.FloatRange(0, min_open=True), help="Look back."
)
@sources_option(MEASURED)
@store_option
@as_json
def status(minutes: float, sources: frozenset[str] | None, store: str | None, as_json: bool) -> None:
    """Show whether all is well, why not, and what is to be done; then strategy, managers, latency and events.

    The sentence is the one that the Overview begins with; it looks at a day, whatever --minutes says.
    """
    with attached(store, hours=max(minutes / 60, _DAY_HOURS)) as service:
        service.tail.look()
        if service.tail.problem:
            raise click.ClickException(service.tail.problem)
        since = service.now - minutes * 60
        situation, standing = service.situation(), service.standing()
        by_source = service.window.sources(start=since)
        recent = service.window.summary(start=since, sources=sources)
        health, events = service.store_health(), service.events()
    if as_json:
        print_json(
            {
                "situation": asdict(situation),
                "standing": asdict(standing),
                "recent": asdict(recent),
                "by_source": by_source,
                "store": asdict(health),
                "events": [asdict(event) for event in events],
            }
        )
        return
    console().print(Text(situation.sentence, style="bold"))
    for reason in situation.reasons:
        console().print(Text(reason), soft_wrap=True)
    if situation.ways_out:
        console().print(Text(f"way out: {' · '.join(_way_out(way) for way in situation.ways_out)}\n"))
    line = f"{standing.strategy} · {standing.mode} · config version {standing.version}"
    console().print(Text(f"{line} · managers alive: {standing.workers_alive}"))
    if standing.blocked:
        console().print(Text(f"read-only: {standing.blocked}"))
    console().print(Text(f"\nrecalls in the last {minutes:g} minutes: {recent.count}"))
    if len(by_source) > 1:
        line = ", ".join(f"{units.count(n)} {source}" for source, n in by_source.items())
        console().print(Text(f"by source: {line}"))
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


def _way_out(way: WayOut) -> str:
    """Return a way out as a command, or as the page that has it."""
    if way.act is Act.ROLL_BACK:
        return (
            f"`athena-tuning config rollback {way.target}`"
            if way.target != "0"
            else "the defaults, on the Config page"
        )
    if way.act is Act.PROMISE:
        return "`athena-tuning objectives set --p99 MS`"
    return f"{way.label} (the page {way.target.capitalize()})"


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
        values = worker.to_dict() | {
            "alive": "alive" if alive else "gone",
            "last_seen": units.ago(now - worker.last_seen),
        }
        rows.append([values[name] for name in _COLUMNS])
    print_table(list(_COLUMNS.values()), rows)
