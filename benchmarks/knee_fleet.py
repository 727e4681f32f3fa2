"""Four processes with a manager each, through one SQLite store, before one TCP server with a knee."""

from __future__ import annotations

import multiprocessing
import random
import tempfile
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from knee_server import LAYERS, Offered, SocketLayer, offered, serve

from athena_tuning.model import Mode, TuningConfig
from athena_tuning.recall import MemoryManager
from athena_tuning.store import ConfigChange, open_store


@dataclass(frozen=True, slots=True)
class Member:
    """What a process is to do: whose manager it has, and when recalls come to it (seconds)."""

    name: str
    store: str
    port: int
    due: tuple[float, ...]


def arrivals(rate: float, seconds: float, weights: tuple[float, ...], seed: int) -> list[tuple[float, ...]]:
    """Return when recalls come to each manager: independent arrivals, dealt by weights."""
    rng, now = random.Random(seed), 0.0
    due: list[list[float]] = [[] for _ in weights]
    while (now := now + rng.expovariate(rate)) < seconds:
        due[rng.choices(range(len(weights)), weights)[0]].append(now)
    return [tuple(times) for times in due]


def run(config: TuningConfig, mode: Mode, due: list[tuple[float, ...]]) -> tuple[list[Offered], int]:
    """Run a fleet from a config on; return its recalls, and the limit in force at the end."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    port = mine.recv()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'store.db'}"
        with open_store(url) as store:
            change = ConfigChange(config, expected_version=0, actor="benchmark", reason="start", mode=mode)
            store.apply_config(change)
            pipes = []
            members = []
            for i, times in enumerate(due):
                here, there = context.Pipe()
                member = Member(f"m{i}", url, port, times)
                process = context.Process(target=_serve_member, args=(member, there), daemon=True)
                process.start()
                pipes.append(here)
                members.append(process)
            for pipe in pipes:
                pipe.recv()  # it is ready
            for pipe in pipes:
                pipe.send("go")
            came = [recall for pipe in pipes for recall in pipe.recv()]
            for process in members:
                process.join()
            limit = store.config_set().default.config.max_concurrent
    server.terminate()
    server.join()
    return sorted(came, key=lambda recall: recall.began), limit


def _serve_member(member: Member, pipe: Connection) -> None:
    layers = [SocketLayer(name, member.port) for name in LAYERS]
    store = open_store(member.store)
    with store, MemoryManager(":memory:", store=store, layers=layers, worker_id=member.name) as opened:
        pipe.send("ready")
        pipe.recv()
        pipe.send(offered(opened, list(member.due)))
