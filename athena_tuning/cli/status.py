"""``athena-tuning status`` and ``workers``: is it healthy, and who runs what."""

from __future__ import annotations

from dataclasses import asdict

import click

from athena_tuning.cli.access import attached, moment, read_records
from athena_tuning.cli.output import (
    as_json,
    print_json,
    print_table,
    print_text,
    sources_option,
    store_option,
)
from athena_tuning.model.source import MEASURED
from athena_tuning.service import units
from athena_tuning.service.facts import Act, WayOut
from athena_tuning.service.fleet_limit import FleetLimit, Share

_COLUMNS = {
    "worker_id": "worker",
    "alive": "",
    "pid": "pid",
    "last_seen": "last seen",
    "config_version": "config",
    "share": "share",
    "wanted": "wants",
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
        read_records(service.tail)
        since = service.now - minutes * 60
        situation, standing = service.situation(), service.standing()
        by_source = service.window.sources(start=since)
        recent = service.window.summary(start=since, sources=sources)
        health, events, limit = service.store_health(), service.events(), service.fleet_limit()
    if as_json:
        print_json(
            {
                "situation": asdict(situation),
                "standing": asdict(standing),
                "limit": limit.to_dict(),
                "recent": asdict(recent),
                "by_source": by_source,
                "store": asdict(health),
                "events": [asdict(event) for event in events],
            }
        )
        return
    print_text(situation.sentence, style="bold")
    for reason in situation.reasons:
        print_text(reason)
    if situation.ways_out:
        print_text(f"way out: {' · '.join(_way_out(way) for way in situation.ways_out)}\n")
    line = f"{standing.strategy} · {standing.mode} · config version {standing.version}"
    print_text(f"{line} · managers alive: {standing.workers_alive}")
    _print_limit(limit)
    if standing.blocked:
        print_text(f"read-only: {standing.blocked}")
    print_text(f"\nrecalls in the last {minutes:g} minutes: {recent.count}")
    if len(by_source) > 1:
        line = ", ".join(f"{units.count(n)} {source}" for source, n in by_source.items())
        print_text(f"by source: {line}")
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
    print_text(f"\nstore {health.store_id}, epoch {health.epoch}")
    if health.unreadable:
        print_text(f"rows that cannot be read: {len(health.unreadable)} (`athena-tuning store check`)")
    if events:
        print_table(
            ["when", "event", "what happened"],
            [[moment(event.time), event.kind, event.text] for event in events[:_EVENTS]],
        )


def _print_limit(limit: FleetLimit) -> None:
    for line in filter(None, (limit.sentence, limit.advice)):
        print_text(line)


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
    """List the managers that share the store, last seen first, with the slots that each may use now.

    Where the limit is one for all managers, share is a manager's part of it, and wants the layer tasks that
    hold or wait for a slot there, in the mean of late.
    """
    with attached(store) as service:
        now = service.now
        known = [(worker, service.is_alive(worker)) for worker in service.workers()]
        limit = service.fleet_limit()
    shares = {
        worker.worker_id: asdict(limit.share(worker.worker_id) if alive else Share(0))
        for worker, alive in known
    }
    if as_json:
        print_json(
            [
                {
                    **worker.to_dict(),
                    "alive": alive,
                    "share": shares[worker.worker_id]["slots"],
                    "wanted": shares[worker.worker_id]["wanted"],
                }
                for worker, alive in known
            ]
        )
        return
    _print_limit(limit)
    rows = []
    for worker, alive in known:
        share = shares[worker.worker_id]
        values = worker.to_dict() | {
            "alive": "alive" if alive else "gone",
            "last_seen": units.ago(now - worker.last_seen),
            "share": share["slots"],
            "wanted": "" if share["wanted"] is None else f"{share['wanted']:.1f}",
        }
        rows.append([values[name] for name in _COLUMNS])
    print_table(list(_COLUMNS.values()), rows)
