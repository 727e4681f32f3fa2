"""``athena-tuning cluster``: managers that answer as one."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from athena_tuning import locations
from athena_tuning.cli.output import as_json, memory_option, print_json, print_table, store_option

if TYPE_CHECKING:
    from athena_tuning.cluster.broker import Broker
    from athena_tuning.cluster.cluster_status import ClusterStatus

DEFAULT_URL = "nats://127.0.0.1:4222"

_workers = click.option(
    "--workers",
    type=click.IntRange(1, 256),
    help="Managers to keep running. Default: one a core.",
)
_url = click.option(
    "--on", "url", default=DEFAULT_URL, show_default=True, metavar="URL", help="nats://HOST:PORT[/NAME]."
)


@click.group()
def cluster() -> None:
    """Start managers that answer as one, see how they are, scale and drain them."""


@cluster.command()
@_workers
@_url
@memory_option
@store_option
def start(workers: int | None, url: str, memory: str | None, store: str | None) -> None:
    """Keep managers running, until Ctrl+C; start a nats-server where none answers.

    What dies is started again. Where the memory file is missing it is made from the sample memory.
    """
    _begin_loading_managers()
    from athena_tuning.cluster.address import Address
    from athena_tuning.cluster.broker import Broker, answers

    address = Address.parse(url)
    with ExitStack() as until_stopped:
        broker = None
        if not answers(address):
            folder = locations.home() / "cluster"
            broker = until_stopped.enter_context(Broker(address, folder))
            click.echo(f"started {broker.program} on {address.shown}")
        _supervise(url, workers, memory, store, broker, until_stopped)


@cluster.command()
@click.argument("url")
@_workers
@memory_option
@store_option
def join(url: str, workers: int | None, memory: str | None, store: str | None) -> None:
    """Keep managers running on this machine for the cluster at URL, whose broker runs elsewhere.

    They answer from this machine's memory file. Name a store that all machines share (postgresql://…), so
    that all obey the same configs.
    """
    _begin_loading_managers()
    with ExitStack() as until_stopped:
        _supervise(url, workers, memory, store, None, until_stopped)


@cluster.command()
@_url
@as_json
def status(url: str, as_json: bool) -> None:
    """Show the members, what they carry, and what one more worker would give."""
    from athena_tuning.cluster.cluster_status import ClusterAdmin

    with ClusterAdmin(url) as admin:
        found = admin.status()
    if as_json:
        print_json(found.to_dict())
    else:
        _print_status(found)


@cluster.command()
@click.argument("workers", type=click.IntRange(0, 256))
@click.option("--host", help="The machine, where several run `cluster start` or `join`.")
@_url
@as_json
def scale(workers: int, host: str | None, url: str, as_json: bool) -> None:
    """Have WORKERS managers on a machine from now on."""
    from athena_tuning.cluster.cluster_status import ClusterAdmin

    with ClusterAdmin(url) as admin:
        supervisor = admin.scale(workers, host)
    if as_json:
        print_json(supervisor)
    else:
        click.echo(f"{supervisor['host']} keeps {supervisor['wanted']} managers from now on")


@cluster.command()
@click.argument("name")
@_url
@as_json
def drain(name: str, url: str, as_json: bool) -> None:
    """Have the member NAME answer what it has and end; it is not started again."""
    from athena_tuning.cluster.cluster_status import ClusterAdmin

    with ClusterAdmin(url) as admin:
        member = admin.drain(name)
    if as_json:
        print_json({"id": member.id, "worker": member.worker, "leaving": True})
    else:
        click.echo(f"{member.worker} takes no more recalls and ends with the last that it has")


def _begin_loading_managers() -> None:
    """Have the process that managers are forked from load while this one loads, too, and starts a broker."""
    from athena_tuning.manager_process import begin_loading

    begin_loading("athena_tuning.cli.manager")


def _supervise(
    url: str,
    workers: int | None,
    memory: str | None,
    store: str | None,
    broker: Broker | None,
    until_stopped: ExitStack,
) -> None:
    from athena_tuning.cli.manager import run_until_input_ends
    from athena_tuning.cluster.address import Address
    from athena_tuning.cluster.supervisor import Supervisor, manager_arguments
    from athena_tuning.service.embedded import build_memory
    from athena_tuning.store import open_store

    path = Path(memory) if memory else locations.default_memory()
    if not path.exists():
        build_memory(path)
    address, count = Address.parse(url), workers or _cores()
    store = store or locations.default_store_url()
    open_store(store).close()  # what is wrong with it is said here, once, and not by each manager
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    arguments = manager_arguments(url, memory=str(path), store=store)
    until_stopped.enter_context(Supervisor(run_until_input_ends, arguments, address, count, broker))
    click.echo(f"{count} managers over {path} answer in the cluster {address.shown}  (Ctrl+C stops them)")
    while not stop.wait(0.5):
        pass


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _print_status(status: ClusterStatus) -> None:
    plain = status.to_dict()
    columns = ["worker", "recalls/s", "limit", "answers", "refused", "busy", "won/lost", "now", "config"]
    rows = [
        [
            m["worker"] + (" (leaving)" if m["leaving"] else ""),
            m["rate_per_s"],
            f"{m['limit']}/{m['config_limit']}",
            m["answers"],
            m["refused"],
            m["busy"],
            f"{m['hedges_won']}/{m['hedges'] - m['hedges_won']}",
            m["under_way"],
            f"v{m['config_version']}",
        ]
        for m in plain["members"]
    ]
    print_table(columns, rows)
    click.echo(
        "limit: slots it may use, of the config's; won/lost: hedged second recalls; now: recalls under way"
        if rows
        else "nobody answers in this cluster"
    )
    for each in plain["supervisors"]:
        click.echo(
            f"{each['host']} ({each['cores']} cores) keeps {each['wanted']} managers; "
            f"restarts: {each['restarts']}"
        )
    if len(memories := plain["memories"]) > 1:
        click.echo(f"{len(memories)} memories, which do not follow one another: {', '.join(memories)}")
    if versions := sorted({m["version"] for m in plain["members"]}):
        beside = " answer beside each other" if len(versions) > 1 else ""
        click.echo(f"athena_tuning {', '.join(versions)}{beside}")
    click.echo(plain["advice"])
