"""A load runs where it disturbs nobody: here, apart if heavy, or on a manager elsewhere; and it is kept."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from athena_tuning.load.archive import RunArchive
from athena_tuning.load.remote_run import RemoteRun
from athena_tuning.load.run import LoadRun
from athena_tuning.load.run_handle import State
from athena_tuning.load.spec import LoadSpec
from athena_tuning.load.subprocess_run import SubprocessRun
from athena_tuning.service.embedded import Embedded
from athena_tuning.service.loads import Loads
from athena_tuning.store import StoreError, open_store

LIGHT = LoadSpec(rate_per_s=40, duration_s=0.5, seed=2)
HEAVY = LoadSpec(rate_per_s=60, duration_s=0.5, seed=2)


@pytest.fixture
def embedded(memory: Path, tmp_path: Path) -> Iterator[Embedded]:
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        here = Embedded(memory, store)
        yield here
        here.close()


@pytest.fixture
def archive(tmp_path: Path) -> RunArchive:
    return RunArchive(tmp_path / "runs")


def finished(loads: Loads, spec: LoadSpec, archive: RunArchive) -> type:
    """Start a load, wait until it is kept, and return what ran it."""
    run = loads.start(spec)
    assert run.wait(60)
    loads.stop()
    assert run.state is State.FINISHED
    assert archive.load(run.id) == run.summary()
    return type(run)


def test_a_light_load_runs_here_and_is_kept(embedded: Embedded, archive: RunArchive) -> None:
    assert finished(Loads(embedded.manager.store, embedded, archive), LIGHT, archive) is LoadRun
    assert embedded.manager.status().recalls > 5


def test_a_heavy_load_runs_in_a_process_of_its_own(embedded: Embedded, archive: RunArchive) -> None:
    store = embedded.manager.store
    assert finished(Loads(store, embedded, archive), HEAVY, archive) is SubprocessRun
    assert embedded.manager.status().recalls == 0
    assert len(store.tail_metrics().records) == archive.newest()[0].finished


def test_a_heavy_load_stays_here_where_no_other_process_can_share_the_store(
    memory: Path, archive: RunArchive
) -> None:
    with open_store("memory://") as store:
        here = Embedded(memory, store)
        assert finished(Loads(store, here, archive), HEAVY, archive) is LoadRun
        here.close()


def test_without_a_manager_here_one_elsewhere_asks_itself(embedded: Embedded, archive: RunArchive) -> None:
    with open_store(embedded.manager.store.url) as watching:
        assert finished(Loads(watching, None, archive), HEAVY, archive) is RemoteRun
    assert embedded.manager.status().recalls == archive.newest()[0].finished > 10


def test_one_load_at_a_time_and_stop_leaves_nothing(embedded: Embedded, archive: RunArchive) -> None:
    loads = Loads(embedded.manager.store, embedded, archive)
    run = loads.start(LoadSpec(rate_per_s=20, duration_s=600))
    with pytest.raises(ValueError, match="under way: stop it first"):
        loads.start(LIGHT)
    loads.pause()
    assert run.state is State.PAUSED
    loads.resume()
    loads.stop()
    loads.stop()
    assert run.state is State.STOPPED
    assert archive.load(run.id).state == "stopped"
    assert not [t for t in threading.enumerate() if t.name in ("load keeper", f"load-{run.id}")]


def test_a_load_that_cannot_be_made_is_refused_and_the_next_one_runs(
    embedded: Embedded, archive: RunArchive
) -> None:
    loads = Loads(embedded.manager.store, embedded, archive)
    with pytest.raises(ValueError, match="no recording"):
        loads.start(LoadSpec("replay", duration_s=1, replay_of="gone"))
    assert loads.newest is None
    assert finished(loads, LIGHT, archive) is LoadRun


def test_a_load_that_cannot_be_ordered_leaves_no_run_behind(archive: RunArchive, tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'store.db'}")
    loads = Loads(store, None, archive)
    store.close()
    with pytest.raises(StoreError):
        loads.start(LIGHT)
    assert loads.newest is None
    loads.stop()


def test_an_archive_that_cannot_be_written_takes_nothing_from_the_run(
    embedded: Embedded, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    loads = Loads(embedded.manager.store, embedded, RunArchive(tmp_path / "file" / "runs"))
    run = loads.start(LIGHT)
    assert run.wait(60)
    loads.stop()
    assert run.summary() is not None
    assert f"load run {run.id} is not kept" in caplog.text
