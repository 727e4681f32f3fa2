"""What a cluster takes to start, to take a config, and to go on where members or the broker fail.

``python benchmarks/cluster_failures.py [--quick] [--json]`` needs a ``nats-server``. ``--quick`` kills
a member twice, the full run twenty times.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from cluster_members import NOOP, SLOW, each, free_port, many, preload, process, two_members, wait_for
from harness import Figure, median, options, progress, quantile, report

from athena_tuning import MemoryManager, TuningConfig
from athena_tuning.cli.manager import run_until_input_ends
from athena_tuning.cluster import Address, NobodyThere, RecallCluster
from athena_tuning.cluster.broker import Broker
from athena_tuning.cluster.supervisor import Supervisor, manager_arguments


def failures(folder: Path, *, quick: bool) -> list[Figure]:
    """What members that are killed or hang, and a broker that is killed, cost the recalls under way."""
    url = f"nats://127.0.0.1:{free_port()}"
    lost, slowest, normal, kills = 0, 0.0, 0.0, 2 if quick else 20
    with Broker(Address.parse(url), folder / "own broker") as broker, ExitStack() as stack:
        client = stack.enter_context(RecallCluster(url))
        nobody = median(each(lambda _: _nobody(client), 20))
        running = [stack.enter_context(process(url, SLOW, str(folder), "")) for _ in range(2)]
        wait_for(client, 2)
        for _ in range(3):
            normal = max(normal, many(client, 200)[0])
        for _ in range(kills):
            seconds, answers = many(client, 200, running[0].kill)
            lost += sum(not isinstance(a, dict) for a in answers)
            slowest = max(slowest, seconds)
            running.pop(0)
            running.append(stack.enter_context(process(url, SLOW, str(folder), "")))
            wait_for(client, 2)
            time.sleep(1.1)  # the client looks once a second who is there
        delay = client.delay_seconds("deploy")
        stopped, answers = many(client, 200, lambda: os.kill(running[0].pid or 0, signal.SIGSTOP))
        lost_by_stop = sum(not isinstance(a, dict) for a in answers)
        os.kill(running[0].pid or 0, signal.SIGCONT)
        broker.process.kill()
        broker.process.wait()
        began = time.perf_counter()
        broker.start()
        client.recall("deploy after the broker came back")
        back = time.perf_counter() - began
    return [
        Figure("nobody there: said after", nobody, "ms", 10.0),
        Figure("200 under way, nothing happens: slowest", normal, "s"),
        Figure("hedging delay", delay, "s"),
        Figure(f"200 under way, member killed, {kills} times: lost", lost, "", 0),
        Figure("200 under way, member killed: slowest", slowest, "s", normal + delay + 0.5),
        Figure("200 under way, member hangs: lost", lost_by_stop, "", 0),
        Figure("200 under way, member hangs: slowest", stopped, "s", normal + delay + 0.5),
        Figure("broker started again: until an answer", back, "s", 3.0),
    ]


def starts(broker: str, folder: Path, *, quick: bool) -> list[Figure]:
    """How long a manager takes from its start to its first answer: the first of a machine, and others."""
    url, memory = f"{broker}/starts", folder / "small.db"
    with MemoryManager(memory) as manager:
        manager.remember({"id": "n1", "layer": "semantic", "text": "Deploys are on Friday"})
    arguments = manager_arguments(url, memory=str(memory), store=f"sqlite:///{folder / 'starts.db'}")
    taken = []
    with RecallCluster(url) as client:
        began = time.perf_counter()
        with Supervisor(run_until_input_ends, arguments, Address.parse(url), 1) as supervisor:
            for n in range(1, 4 if quick else 8):
                wait_for(client, n)
                taken.append(time.perf_counter() - began)
                began = time.perf_counter()
                supervisor.scale(n + 1)
    return [
        Figure("the first member of a supervisor answers after its start", taken[0], "s"),
        Figure("a new member answers after its start", median(taken[1:]), "s", 1.0),
    ]


def _nobody(client: RecallCluster) -> None:
    try:
        client.recall("anybody?")
    except NobodyThere:
        return
    raise AssertionError("somebody answered")


def propagation(broker: str, folder: Path, count: int) -> list[Figure]:
    """How long a config takes to be in force at every member."""
    url, store = f"{broker}/config", f"sqlite:///{folder / 'store.db'}"
    taken = []
    with two_members(url, NOOP, folder, store) as (client, _):
        members = [member.id for member in client.members()]
        for n in range(count):
            at = client.configs.default.version
            began = time.perf_counter()
            config = TuningConfig(max_concurrent=5 + n % 7)
            version = client.apply_config(config, expected_version=at, actor="b", reason="r").version
            while any(client.configs_of(name).head < version for name in members):
                pass
            taken.append((time.perf_counter() - began) * 1000)
    return [
        Figure("config in force at all members, p50", median(taken), "ms"),
        Figure("config in force at all members, p99", quantile(taken, 0.99), "ms", 50.0),
    ]


def main() -> int:
    chosen = options(__doc__)
    port, figures = free_port(), []
    url = f"nats://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as name, Broker(Address.parse(url), Path(name) / "broker"):
        folder = Path(name)
        progress("starts")
        figures += starts(url, folder, quick=chosen.quick)
        progress("configs")
        figures += propagation(url, folder, 20 if chosen.quick else 200)
        progress("failures")
        figures += failures(folder, quick=chosen.quick)
    return report(figures, chosen)


if __name__ == "__main__":
    preload()
    raise SystemExit(main())
