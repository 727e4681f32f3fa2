"""``athena-tuning layers``: which layers are well, which are left out, why, and what that costs."""

from __future__ import annotations

import time
from collections import defaultdict
from itertools import chain

import click

from athena_tuning.cli.access import attached
from athena_tuning.cli.output import as_json, print_json, print_table, print_text, store_option
from athena_tuning.model import MemoryHour
from athena_tuning.service import units

_COLUMNS = (
    "layer",
    "breaker",
    "since",
    "calls",
    "failed",
    "late",
    "left out",
    "lost s",
    "usual ms",
    "worker",
)


@click.command()
@click.option(
    "--memory-hours",
    type=click.FloatRange(min=1),
    metavar="HOURS",
    help="What layers took of memory in so many hours up to now, by day, in place of their health.",
)
@store_option
@as_json
def layers(memory_hours: float | None, store: str | None, as_json: bool) -> None:
    """Show the health of every layer of the managers that are alive.

    A layer that fails is left out of recalls (its breaker is open) and tried again every few seconds. Counts
    are since the manager's start: calls, those of them that failed or came too late, recalls from which the
    layer was left out, and the slot time of calls that were for nothing. Of memory: the bytes of its index,
    of what it gives a recall, and the peak of a call (where ``memory_share`` of the config is not 0).
    With --memory-hours also of managers that are gone; a store keeps it for a week.
    """
    if memory_hours is not None:
        _memory(store, memory_hours, as_json)
        return
    with attached(store) as service:
        now, by_worker = service.now, service.layer_health()
    if as_json:
        print_json(
            [{"worker_id": worker, **of.to_dict()} for worker, known in by_worker.items() for of in known]
        )
        return
    if not by_worker:
        print_text("no manager that is alive has reported its layers")
        return
    rows = [
        [
            of.layer,
            of.state.value,
            units.ago(now - of.since),
            of.calls,
            of.failures,
            of.timeouts,
            of.left_out,
            of.lost_seconds,
            of.typical_ms,
            worker,
        ]
        for worker, known in by_worker.items()
        for of in known
    ]
    print_table(_COLUMNS, rows)
    sizes = [
        [of.layer, *(units.size(size) for size in known_sizes), worker]
        for worker, known in by_worker.items()
        for of in known
        if any(known_sizes := (of.index_bytes, of.returned_bytes, of.peak_bytes))
    ]
    if sizes:
        print_table(["memory", "index", "returned", "peak", "worker"], sizes)
    for worker, known in by_worker.items():
        for of in known:
            if of.reason and of.state.value != "closed":
                print_text(f"{of.layer} ({worker}): {of.reason}")
            if of.blocks_loop:
                print_text(f"{of.layer} ({worker}) kept its event loop from turning {of.blocks_loop}")


def _memory(store: str | None, hours: float, as_json: bool) -> None:
    with attached(store) as service:
        by_worker = service.layer_memory(service.now - 3600 * hours, service.now)
    if as_json:
        print_json([{"worker_id": w, **hour.to_dict()} for w, known in by_worker.items() for hour in known])
        return
    if not by_worker:
        print_text("no manager has told what its layers take of memory in this time")
        return
    days: dict[tuple[str, str], list[MemoryHour]] = defaultdict(list)
    for hour in chain.from_iterable(by_worker.values()):
        days[time.strftime("%Y-%m-%d", time.localtime(hour.start)), hour.layer].append(hour)
    rows = []
    for (day, layer), known in sorted(days.items()):
        whole = MemoryHour.joined(known)
        sizes = (whole.index_bytes, whole.mean_returned_bytes, whole.peak_bytes)
        rows.append([day, layer, *map(units.size, sizes), whole.returned])
    print_table(["day", "layer", "index", "returned", "peak", "samples"], rows)
