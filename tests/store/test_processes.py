"""Several processes on one store: killed in the middle, writing at once, taking over from each other."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import apsw
import pytest

from athena_tuning.model import QueryMetrics, TuningConfig
from athena_tuning.store import ConfigChange, ConfigConflict, Store, StoreError
from athena_tuning.store.sqlite import SqliteStore

CLEAN = multiprocessing.get_context("forkserver")  # processes without our threads, quick to start
CLEAN.set_forkserver_preload(["pytest", "athena_tuning.store.sqlite", "athena_tuning.store.postgres"])
START = 1_700_000_000.0


def batch_of(sequence: int, size: int = 50) -> list[QueryMetrics]:
    """Records whose ids tell their batch; deterministic, so that a retry would be seen."""
    return [
        QueryMetrics(
            f"r-{sequence * size + i}",
            f"what {i}?",
            "meta",
            START + sequence,
            5.0,
            None,
            False,
            1,
            [],
            {},
            True,
        )
        for i in range(size)
    ]


def open_again(kind: str, place: Any) -> Store:
    if kind == "sqlite":
        return SqliteStore(place)
    from athena_tuning.store.postgres import PostgresStore

    url, schema = place
    return PostgresStore(url, schema=schema)


@pytest.fixture(params=["sqlite", "postgres"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Any]:
    """What another process needs to open the same store."""
    if request.param == "sqlite":
        return "sqlite", tmp_path / "store.db"
    opened = request.getfixturevalue("postgres")
    return "postgres", (request.getfixturevalue("postgres_url"), opened.schema)


def write_until_killed(path: Path, first: int, acknowledged: Connection) -> None:
    store = SqliteStore(path, clock=lambda: START)
    sequence = first
    while True:
        store.append_metrics("w", sequence, batch_of(sequence))
        acknowledged.send(sequence)
        if sequence % 7 == 0:
            store.maintain()
        sequence += 1


@pytest.mark.slow
def test_killed_twenty_times_in_mid_batch_loses_nothing_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    SqliteStore(path).close()
    next_sequence = 1
    for kill in range(20):
        here, there = CLEAN.Pipe(duplex=False)
        process = CLEAN.Process(target=write_until_killed, args=(path, next_sequence, there))
        process.start()
        there.close()
        acknowledged = [here.recv() for _ in range(3 + kill % 5)]
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        while here.poll():
            try:
                acknowledged.append(here.recv())
            except EOFError:
                break

        store = SqliteStore(path, clock=lambda: START)
        kept = {m.query_id for m in store.tail_metrics().records}
        promised = {m.query_id for sequence in range(1, max(acknowledged) + 1) for m in batch_of(sequence)}
        assert promised <= kept
        assert len(kept) % 50 == 0, "half a batch"
        assert len(kept) <= len(promised) + 50, "more than the one batch on its way"
        counted = store.rollups(START - 60, START + 1e5, layer="").total().count
        assert counted == len(kept) == len(store.tail_metrics().records)
        # As a flusher would: what was not acknowledged is sent again under its sequence.
        next_sequence = max(acknowledged) + 1
        store.append_metrics("w", next_sequence, batch_of(next_sequence))
        next_sequence += 1
        store.close()
    connection = apsw.Connection(str(path))
    assert connection.pragma("integrity_check") == "ok"
    connection.close()


def apply_many(kind: str, place: Any, name: str, times: int, result: Connection) -> None:
    store = open_again(kind, place)
    versions, refused = [], 0
    seen = store.config_set().head
    while len(versions) < times:
        config = TuningConfig(max_concurrent=1 + len(versions) % 20)
        try:
            version = store.apply_config(
                ConfigChange(
                    config,
                    expected_version=seen,
                    actor=name,
                    reason="race",
                    idempotency_key=f"{name}-{len(versions)}",
                )
            )
        except ConfigConflict as exc:
            seen = exc.current.version if exc.current else 0
            refused += 1
        except StoreError:
            continue  # a lock was not to be had in time: the same key once more
        else:
            seen = version.version
            versions.append(seen)
    store.close()
    result.send((versions, refused))


@pytest.mark.slow
def test_eight_processes_apply_two_hundred_versions_each_without_gap_or_loss(shared: tuple[str, Any]) -> None:
    kind, place = shared
    times = 200 if kind == "sqlite" else 50
    open_again(kind, place).close()
    pipes = [CLEAN.Pipe(duplex=False) for _ in range(8)]
    processes = [
        CLEAN.Process(target=apply_many, args=(kind, place, f"p{i}", times, there))
        for i, (_, there) in enumerate(pipes)
    ]
    for process, (_, there) in zip(processes, pipes, strict=True):
        process.start()
        there.close()  # so that a process that dies ends the waiting
    results = [here.recv() for here, _ in pipes]
    for process in processes:
        process.join()

    store = open_again(kind, place)
    history = store.config_history(limit=10_000)
    store.close()
    assert [v.version for v in reversed(history)] == list(range(1, 8 * times + 1))
    assert all(v.parent == v.version - 1 for v in history)
    written = {name: [v.version for v in reversed(history) if v.author == name] for name in ("p0", "p7")}
    assert written["p0"] == results[0][0]
    assert written["p7"] == results[7][0]
    assert sorted(version for versions, _ in results for version in versions) == list(range(1, 8 * times + 1))
    assert sum(refused for _, refused in results) > 0, "they never met: nothing was tested"


def hold_lease(kind: str, place: Any, ready: Connection) -> None:
    store = open_again(kind, place)
    ready.send(store.acquire_lease("tuner", "first", 1.0))
    while True:
        store.acquire_lease("tuner", "first", 1.0)
        time.sleep(0.05)


@pytest.mark.slow
def test_a_lease_is_taken_over_when_its_holder_was_killed(shared: tuple[str, Any]) -> None:
    kind, place = shared
    store = open_again(kind, place)
    here, there = CLEAN.Pipe(duplex=False)
    holder = CLEAN.Process(target=hold_lease, args=(kind, place, there))
    holder.start()
    there.close()
    assert here.recv().number == 1
    assert not store.acquire_lease("tuner", "second", 1.0)
    os.kill(holder.pid or 0, signal.SIGKILL)
    holder.join()
    tries = 0
    while not store.acquire_lease("tuner", "second", 1.0):
        time.sleep(0.05)
        tries += 1
        assert tries < 200, "not taken over within 10 s of a lease of 1 s"
    store.close()


def append_many(kind: str, place: Any, name: str, batches: Callable[[int], Any], done: Connection) -> None:
    store = open_again(kind, place)
    for sequence in range(20):
        store.append_metrics(name, sequence, batches(sequence))
        store.append_metrics(name, sequence, batches(sequence))
    store.close()
    done.send(True)


@pytest.mark.slow
def test_four_processes_with_retries_store_every_record_once(shared: tuple[str, Any]) -> None:
    kind, place = shared
    open_again(kind, place).close()
    pipes = [CLEAN.Pipe(duplex=False) for _ in range(4)]
    processes = [
        CLEAN.Process(target=append_many, args=(kind, place, f"w{i}", batch_of, there))
        for i, (_, there) in enumerate(pipes)
    ]
    for process, (_, there) in zip(processes, pipes, strict=True):
        process.start()
        there.close()  # so that a process that dies ends the waiting
    assert all(here.recv() for here, _ in pipes)
    for process in processes:
        process.join()
    store = open_again(kind, place)
    assert len(store.tail_metrics().records) == 4 * 20 * 50
    assert store.rollups(START - 60, START + 3600, layer="").total().count == 4 * 20 * 50
    store.close()
