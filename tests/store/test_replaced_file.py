"""A SQLite file that is deleted, replaced, overwritten or restored while stores are open on it."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import apsw
import pytest

from athena_tuning import locations
from athena_tuning.model import Annotation, QueryMetrics, TuningConfig
from athena_tuning.recall import MemoryManager
from athena_tuning.store import ConfigChange, Store, StoreError, open_store
from athena_tuning.store.identity import Position, begin_epoch
from athena_tuning.store.sqlite import SqliteStore
from athena_tuning.store.sqlite_file import Settling, WatchedFile
from athena_tuning.testing.waiting import until

Recalls = Callable[..., list[QueryMetrics]]
Opened = Callable[[], SqliteStore]
CLEAN = multiprocessing.get_context("forkserver")


def apply(store: Store, limit: int, expected: int) -> None:
    config = TuningConfig(max_concurrent=limit)
    store.apply_config(ConfigChange(config, expected_version=expected, actor="ann", reason="a test"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def open_it(path: Path) -> Iterator[Opened]:
    opened: list[SqliteStore] = []

    def open_it() -> SqliteStore:
        opened.append(SqliteStore(path))
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


@pytest.fixture
def backup(path: Path, open_it: Opened, recalls: Recalls) -> Path:
    """A plain copy of the file under version 1 (limit 3); by now version 2 (limit 11) is in force."""
    store = open_it()
    store.append_metrics("earlier", 1, recalls(5, seed=1))
    apply(store, 3, 0)
    store.change_token()  # a manager looks all the time; then a config is in the file itself
    copied = path.with_name("backup.db")
    shutil.copy(path, copied)
    apply(store, 11, 1)
    store.change_token()
    return copied


def delete(path: Path, backup: Path) -> None:
    path.unlink()


def delete_all(path: Path, backup: Path) -> None:
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


def replace(path: Path, backup: Path) -> None:
    os.replace(backup, path)


def replace_all(path: Path, backup: Path) -> None:
    delete_all(path, backup)
    shutil.copy(backup, path)


def overwrite(path: Path, backup: Path) -> None:
    shutil.copyfile(backup, path)


def empty(path: Path, backup: Path) -> None:
    os.truncate(path, 0)


Change = Callable[[Path, Path], None]
CHANGES: list[tuple[Change, str, int]] = [
    (delete, "deleted", 0),
    (delete_all, "deleted", 0),
    (replace, "replaced", 1),
    (replace_all, "replaced", 1),
    (overwrite, "overwritten", 1),
    (empty, "overwritten", 0),
]
each_change = pytest.mark.parametrize(
    ("change", "kind", "head"), CHANGES, ids=lambda v: getattr(v, "__name__", "")
)


def settled(store: Store) -> bool:
    """Whether the store works again after what was done to its file."""
    try:
        store.change_token()
    except StoreError:
        return False
    return store.health().epoch > 0


@each_change
def test_it_is_noticed_within_two_seconds_and_what_is_there_is_obeyed(
    path: Path, backup: Path, open_it: Opened, change: Change, kind: str, head: int
) -> None:
    store = open_it()
    before = store.change_token()
    assert store.config_set().default.config.max_concurrent == 11
    change(path, backup)
    assert until(lambda: settled(store)) < 2.0
    assert store.change_token() != before
    configs = store.config_set()
    assert (configs.head, configs.epoch) == (head, 1)
    assert configs.default.config.max_concurrent == (3 if head else 5)
    [event] = store.events()
    assert event.kind == kind
    assert store.health().epoch == 1


@each_change
def test_what_is_measured_goes_on_into_what_is_there_with_its_texts(
    path: Path, backup: Path, open_it: Opened, recalls: Recalls, change: Change, kind: str, head: int
) -> None:
    store = open_it()
    batch = recalls(20, seed=2)
    store.append_metrics("w", 1, batch)
    change(path, backup)
    until(lambda: settled(store))
    again = [m._replace(query_id=f"{m.query_id}-later") for m in batch]
    store.append_metrics("w", 2, again)
    store.close()
    records = list(SqliteStore(path).tail_metrics().records)
    assert records == [*(recalls(5, seed=1) if head else []), *again]
    connection = apsw.Connection(str(path))
    assert connection.pragma("integrity_check") == "ok"
    connection.close()


@pytest.mark.slow
@each_change
def test_of_several_who_notice_it_one_notes_it_and_each_logs_it_once(
    path: Path,
    backup: Path,
    open_it: Opened,
    caplog: pytest.LogCaptureFixture,
    change: Change,
    kind: str,
    head: int,
) -> None:
    stores = [open_it() for _ in range(3)]
    for store in stores:
        store.config_set()
    with caplog.at_level(logging.WARNING, "athena_tuning.store"):
        change(path, backup)
        for store in stores:
            until(lambda store=store: settled(store))
    assert {store.health().epoch for store in stores} == {1}
    assert [event.kind for event in stores[0].events()] == [kind]
    assert len({store.change_token() for store in stores}) == 1
    said = [record.getMessage() for record in caplog.records if "while in use" in record.getMessage()]
    assert len(said) == 3
    apply(stores[0], 7, head)
    assert [store.config_set().default.config.max_concurrent for store in stores] == [7, 7, 7]


@each_change
def test_a_call_in_the_meantime_says_what_is_going_on_and_writes_nothing_into_the_void(
    path: Path, backup: Path, open_it: Opened, change: Change, kind: str, head: int
) -> None:
    store = open_it()
    store.config_set()
    before = store.annotations()
    change(path, backup)
    notes, said = 0, set()

    def noted() -> bool:
        nonlocal notes
        try:
            store.annotate(Annotation(1.0, f"note {notes}", "ann"))
        except StoreError as exc:
            said.add(str(exc).partition(": ")[2])
            return False
        notes += 1
        return settled(store)

    until(noted)
    assert all(words.startswith("the file was ") for words in said)
    assert len(SqliteStore(path).annotations()) == len(before) + notes


def test_a_file_that_comes_back_at_once_is_taken_as_it_is(path: Path, backup: Path, open_it: Opened) -> None:
    """As an editor or a copying program does it: away, and another one in its place a moment later."""
    store = open_it()
    store.config_set()
    path.rename(path.with_name("aside.db"))
    with pytest.raises(StoreError, match="the file was deleted while in use"):
        store.config_set()
    shutil.copy(backup, path)
    until(lambda: settled(store))
    assert store.config_set().default.config.max_concurrent == 3
    assert [event.kind for event in store.events()] == ["replaced"]


def test_a_file_that_is_still_being_copied_is_left_alone(path: Path, backup: Path, open_it: Opened) -> None:
    store = open_it()
    store.config_set()
    whole = backup.read_bytes()
    path.unlink()
    with path.open("wb") as file:
        for at in range(0, len(whole), len(whole) // 5 + 1):
            file.write(whole[at : at + len(whole) // 5 + 1])
            file.flush()
            with pytest.raises(StoreError, match="while in use; the store goes on"):
                store.config_set()
    until(lambda: settled(store))
    assert store.config_set().default.config.max_concurrent == 3


def test_content_that_sqlite_itself_replaces_is_noticed(path: Path, backup: Path, open_it: Opened) -> None:
    """As the restore of SQLite's own shell does it: page by page, in a transaction."""
    store = open_it()
    store.config_set()
    source, target = apsw.Connection(str(backup)), apsw.Connection(str(path))
    with target.backup("main", source, "main") as copying:
        copying.step(-1)
    source.close()
    target.close()
    until(lambda: settled(store))
    assert store.config_set().default.config.max_concurrent == 3
    assert [event.kind for event in store.events()] == ["restored"]


def test_a_store_that_is_only_closed_and_opened_again_is_the_same(open_it: Opened) -> None:
    store = open_it()
    apply(store, 3, 0)
    here = store.health()
    store.close()
    again = open_it()
    assert (again.health().store_id, again.health().epoch) == (here.store_id, 0)
    assert again.events() == []


@pytest.mark.slow
def test_much_writing_by_many_is_never_taken_for_a_replacement(open_it: Opened, recalls: Recalls) -> None:
    """The log is brought into the file again and again, the file is cleaned up, and configs change."""
    stores = [open_it() for _ in range(3)]
    for turn in range(40):
        for place, store in enumerate(stores):
            store.append_metrics(f"w{place}", turn, recalls(400, seed=turn))
            if turn % 8 == 7:
                apply(store, 2 + place, store.config_set().default.version)
                store.maintain()
                store._database.read("PRAGMA wal_checkpoint(TRUNCATE)")
                store._database.read("VACUUM")
            assert store.config_set().epoch == 0
        for store in stores:
            store._database._opened.file._compared = -1.0  # type: ignore[union-attr]
    assert stores[0].events() == []


def write_and_obey(path: Path, name: str, said: Connection) -> None:
    """Be a process on the store: write all the time; tell what is in force whenever it changes."""
    store, sequence, last = SqliteStore(path), 0, (-1, -1)
    while not said.poll():
        try:
            configs = store.config_set()
            batch = [
                QueryMetrics(f"{name}-{sequence}-{i}", "t", "meta", 1.7e9, 5.0, None, False, 1, [], {}, True)
                for i in range(50)
            ]
            store.append_metrics(name, sequence, batch)
        except StoreError:
            continue
        sequence += 1
        if (configs.epoch, configs.head) != last:
            last = (configs.epoch, configs.head)
            said.send((*last, configs.default.config.max_concurrent))
    store.close()


@pytest.mark.slow
@each_change
def test_processes_that_write_all_the_time_go_on_together_and_leave_a_sound_file(
    path: Path, backup: Path, change: Change, kind: str, head: int
) -> None:
    pipes = [CLEAN.Pipe() for _ in range(2)]
    processes = [
        CLEAN.Process(target=write_and_obey, args=(path, f"w{place}", there))
        for place, (_, there) in enumerate(pipes)
    ]
    for process in processes:
        process.start()
    for here, _ in pipes:
        assert here.recv() == (0, 2, 11)
    change(path, backup)
    for here, _ in pipes:
        assert here.recv() == (1, head, 3 if head else 5)
    with SqliteStore(path) as store:
        apply(store, 9, head)
    for here, _ in pipes:
        assert here.recv() == (1, head + 1, 9)
        here.send("end")
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    with SqliteStore(path) as store:
        assert [event.kind for event in store.events()] == [kind]
        assert len(store.tail_metrics().records) > 100
    connection = apsw.Connection(str(path))
    assert connection.pragma("integrity_check") == "ok"
    connection.close()


def test_files_are_for_their_user_alone_and_so_are_folders_that_we_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recalls: Recalls
) -> None:
    monkeypatch.setenv("ATHENA_TUNING_HOME", str(tmp_path / "new" / "home"))
    monkeypatch.delenv("ATHENA_TUNING_STORE", raising=False)
    with open_store() as store, MemoryManager(locations.default_memory()) as manager:
        store.append_metrics("w", 1, recalls(5))
        manager.remember({"id": "s1", "layer": "semantic", "text": "Billing runs on two nodes"})
        files = list(locations.home().iterdir())
        assert len(files) == 6
        assert {oct(file.stat().st_mode & 0o777) for file in files} == {"0o600"}
    for folder in (tmp_path / "new", tmp_path / "new" / "home"):
        assert oct(folder.stat().st_mode & 0o777) == "0o700"
    old = tmp_path / "old.db"
    old.touch(0o644)
    SqliteStore(old).close()
    assert oct(old.stat().st_mode & 0o777) == "0o644", "what somebody else made keeps its rights"


def test_who_takes_over_an_overwritten_file_leaves_alone_what_another_has_just_taken_over(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_bytes(b"overwritten")
    watched = WatchedFile(path)
    taken_over = path.with_name("another's copy")
    taken_over.write_bytes(b"overwritten, and written to since")
    its_own = taken_over.stat().st_ino

    def another_is_quicker(*given: Any) -> int:
        os.replace(taken_over, path)
        return opened(*given)

    opened = os.open
    monkeypatch.setattr(os, "open", another_is_quicker)
    watched.let_go()
    assert path.stat().st_ino == its_own, "a copy would lack what is written to it meanwhile"
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("done", ["deleted", "overwritten"])
def test_what_was_done_is_called_so_also_where_another_has_taken_it_for_a_replacement(
    open_it: Opened, done: str
) -> None:
    store = open_it()
    apply(store, 3, 0)
    before = Position(*store._database.position())
    for what in ("replaced", done, "replaced"):
        with store._database.write(lock="configs") as transaction:
            assert begin_epoch(transaction, before, what, 1.7e9).epoch == 1
    assert [event.kind for event in store.events()] == [done]


@each_change
def test_who_comes_later_goes_on_at_once_with_what_another_works_on_however_much_is_written_to_it(
    path: Path, backup: Path, open_it: Opened, change: Change, kind: str, head: int
) -> None:
    first, later = open_it(), open_it()
    for store in (first, later):
        store.config_set()
    later._database._settling = Settling(path, lambda: 0.0)  # a file that is never still
    change(path, backup)
    until(lambda: settled(first))
    apply(first, 9, head)
    assert settled(later)
    assert later.config_set().default.config.max_concurrent == 9
    assert [event.kind for event in later.events()] == [kind]
