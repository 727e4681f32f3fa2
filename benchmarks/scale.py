"""A month of fifty managers in one store: how large it lies, how long reads take, who waits for upkeep.

Each manager has the same number of recalls in every hour of thirty days, of the sample workloads' types and
layers. ``--quick`` takes one an hour, a full run twenty; rows by hour are then nearly as many, and rows by
minute, which retention forgets, far fewer. PostgreSQL as in ``benchmarks/store.py``.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness import Figure, Options, median, options, progress, quantile, report, timed
from store import APART, DAY, QS, emptied, maintain, postgres, records

from athena_tuning.model import TuningConfig
from athena_tuning.store import ConfigChange, Level, Store, open_store
from athena_tuning.store.care import compact

WORKERS, DAYS = 50, 30
BATCH = 5000
MEGABYTE = 1e6


def filled(url: str, an_hour: int, end: float) -> float:
    """Append the month of every manager; return records a second."""
    count, taken = an_hour * 24 * DAYS, 0.0
    known = records(count, "", end - DAYS * DAY, end)
    with open_store(url) as store:
        for worker in range(WORKERS):
            name = f"worker-{worker:02}"
            ready = [record._replace(query_id=name + record.query_id) for record in known]
            for sequence, first in enumerate(range(0, count, BATCH)):
                began = time.perf_counter()
                store.append_metrics(name, sequence, ready[first : first + BATCH])
                taken += time.perf_counter() - began
    return WORKERS * count / taken


def config_writes(url: str) -> tuple[float, list[float]]:
    """Write configs while another process rolls up and forgets; return its seconds, and theirs in ms."""
    process = APART.Process(target=maintain, args=(url,))
    taken: list[float] = []
    with open_store(url) as store:
        began = time.perf_counter()
        process.start()
        while process.is_alive() or not taken:
            change = ConfigChange(
                TuningConfig(2 + len(taken) % 2), expected_version=len(taken), actor="b", reason="r"
            )
            written = time.perf_counter()
            store.apply_config(change)
            taken.append((time.perf_counter() - written) * 1000)
            time.sleep(0.01)
        process.join()
    if process.exitcode:
        raise RuntimeError(f"upkeep ended with {process.exitcode}")
    return time.perf_counter() - began, taken


def hour_series(store: Store, now: float) -> int:
    """Read what a chart of thirty days shows: three percentiles for each hour, of all managers together."""
    table = store.rollups(now - DAYS * DAY, now, level=Level.HOUR, layer="")
    hours = table.merged([(key[1],) for key in table.keys])
    hours.quantiles(QS)
    return len(hours)


def reads(name: str, url: str, now: float, repeats: int) -> Iterator[Figure]:
    """What pages ask of it."""
    with open_store(url) as store:
        rows = sum(len(store.rollups(now - DAYS * DAY, now, level=level)) for level in Level)
        yield Figure(f"{name}, roll-up rows after upkeep", rows, "")
        spans: tuple[tuple[str, Callable[[], Any], float | None], ...] = (
            ("totals of 24 h", lambda: store.rollups(now - DAY, now, layer="").total(), None),
            ("totals of 30 d", lambda: store.rollups(now - DAYS * DAY, now, layer="").total(), None),
            ("hour series of 30 d, all managers", lambda: hour_series(store, now), 60.0),
        )
        for what, read, target in spans:
            yield Figure(f"{name}, {what}", median(timed(read, repeats)) * 1000, "ms", target)
        if (hours := hour_series(store, now)) < 24 * DAYS:
            raise AssertionError(f"the series has {hours} hours")


def month(name: str, url: str, size: Callable[[], float], quick: bool) -> Iterator[Figure]:
    """All of it, over one store."""
    now, an_hour = time.time(), 1 if quick else 20
    progress(f"{name}: {WORKERS * DAYS * 24 * an_hour:,} records of {WORKERS} managers")
    yield Figure(f"{name}, records", WORKERS * DAYS * 24 * an_hour, "")
    yield Figure(f"{name}, appending in batches of {BATCH:,}", filled(url, an_hour, now), "/s")
    yield Figure(f"{name}, size with raw records alone", size(), "MB")
    progress(f"{name}: roll-ups and retention")
    seconds, taken = config_writes(url)
    yield Figure(f"{name}, all rolled up and what is old forgotten within", seconds, "s")
    yield Figure(f"{name}, config write meanwhile, p50", median(taken), "ms")
    yield Figure(f"{name}, config write meanwhile, p99", quantile(taken, 0.99), "ms")
    yield Figure(f"{name}, config write meanwhile, longest of {len(taken)}", max(taken), "ms", 350)
    yield Figure(f"{name}, size after retention", size(), "MB")
    progress(f"{name}: reads")
    yield from reads(name, url, now, 3 if quick else 9)


def on_sqlite(folder: Path, quick: bool) -> Iterator[Figure]:
    """The month in a file."""
    path = folder / "month.db"
    url = f"sqlite:///{path}"

    def size() -> float:
        return sum(part.stat().st_size for part in folder.glob("month.db*")) / MEGABYTE

    yield from month("SQLite", url, size, quick)
    compact(url, lambda *_: None)
    yield Figure("SQLite, size after `store compact`", size(), "MB")


def on_postgres(server: str, quick: bool) -> Iterator[Figure]:
    """The month in a server."""
    import psycopg

    def size() -> float:
        sizes = (
            "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n"
            " ON n.oid = c.relnamespace WHERE n.nspname = 'athena_tuning' AND c.relkind = 'r'"
        )
        with psycopg.connect(server) as connection:
            return float(connection.execute(sizes).fetchall()[0][0]) / MEGABYTE

    yield from month("PostgreSQL", emptied(server), size, quick)


def measured(asked: Options, folder: Path) -> Iterator[Figure]:
    yield from on_sqlite(folder, asked.quick)
    with postgres(folder) as server:
        if server is not None:
            yield from on_postgres(server, asked.quick)


def main() -> int:
    asked = options(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        return report(list(measured(asked, Path(folder))), asked)


if __name__ == "__main__":
    raise SystemExit(main())
