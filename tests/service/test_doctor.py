"""An examination says what is as it should be, and what to do about what is not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from athena_tuning import locations
from athena_tuning.service import doctor
from athena_tuning.store import MemoryStore
from athena_tuning.store.file_findings import disk, rights
from athena_tuning.store.findings import Finding, Verdict
from athena_tuning.store.sqlite import SqliteStore


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ATHENA_TUNING_HOME", str(tmp_path / "home"))
    for name in ("ATHENA_TUNING_STORE", "ATHENA_TUNING_MEMORY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


def of(findings: list[Finding], subject: str) -> list[Finding]:
    return [finding for finding in findings if finding.subject == subject]


def test_a_machine_and_a_store_that_are_well_need_nothing() -> None:
    with SqliteStore(locations.home() / "store.db"):
        findings = doctor.examine()
    assert {f.verdict for f in findings if f.subject != "disk"} == {Verdict.GOOD}, findings
    subjects = {"Python", "SQLite", "processes", "home folder", "store", "store file", "disk"}
    assert {f.subject for f in findings} == subjects


def test_a_store_that_is_not_there_yet_is_no_trouble_and_is_not_made(tmp_path: Path) -> None:
    [store] = of(doctor.examine(f"sqlite:///{tmp_path / 'none.db'}"), "store")
    assert (store.verdict, "not there yet" in store.found) == (Verdict.GOOD, True)
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_text("no database " * 500), "this is no database"),
        (lambda path: path.mkdir(), "cannot be opened"),
    ],
    ids=["another file", "a folder"],
)
def test_a_store_that_cannot_be_used_must_be_seen_to(
    tmp_path: Path, make: Callable[[Path], object], words: str
) -> None:
    make(tmp_path / "store.db")
    [store] = of(doctor.examine(f"sqlite:///{tmp_path / 'store.db'}"), "store")
    assert store.verdict is Verdict.ACT
    assert words in store.found
    assert store.remedy


def test_a_password_is_never_repeated() -> None:
    findings = doctor.examine("postgresql://me:secret@127.0.0.1:1/nowhere")
    assert [f.verdict for f in of(findings, "store")] == [Verdict.ACT]
    assert "secret" not in str(findings)


def test_files_that_others_may_read_are_named_with_the_remedy(home: Path, tmp_path: Path) -> None:
    home.mkdir()
    home.chmod(0o755)
    path = tmp_path / "store.db"
    SqliteStore(path).close()
    path.chmod(0o644)
    findings = doctor.examine(f"sqlite:///{path}")
    assert [(f.verdict, f.remedy) for f in of(findings, "home folder")] == [
        (Verdict.ADVICE, f"chmod 700 {home}")
    ]
    assert f"chmod 600 {path}" in [f.remedy for f in of(findings, "store file")]


def test_a_file_that_cannot_be_written_must_be_seen_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.touch(0o400)
    monkeypatch.setattr("os.access", lambda *_: False)  # whoever runs the tests may be allowed everything
    assert rights("file", path).verdict is Verdict.ACT


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        ("server:/share {} nfs4 rw 0 0", Verdict.ACT),
        ("//server/share {} cifs rw 0 0", Verdict.ACT),
        ("user@host: {} fuse.sshfs rw 0 0", Verdict.ACT),
        ("/dev/sda1 {} ext4 rw 0 0", Verdict.GOOD),
    ],
)
def test_a_store_on_a_disk_of_the_network_must_be_moved(tmp_path: Path, line: str, verdict: Verdict) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\n{line.format(tmp_path)}\n")
    assert disk("store file", tmp_path / "store.db", mounts).verdict is verdict
    assert disk("store file", tmp_path / "store.db", tmp_path / "no mounts").verdict is Verdict.GOOD


def test_a_file_of_an_older_program_is_to_be_compacted(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    SqliteStore(path).close()
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "delete")
    connection.pragma("auto_vacuum", 0)
    connection.execute("VACUUM")
    connection.close()
    assert "athena-tuning store compact" in {f.remedy for f in doctor.examine(f"sqlite:///{path}")}


def test_old_or_poor_libraries_must_be_replaced() -> None:
    assert doctor._python((3, 10)).verdict is Verdict.ACT
    assert doctor._python(sys.version_info[:2]).verdict is Verdict.GOOD
    assert doctor._sqlite("3.40.1", ("ENABLE_FTS5",)).verdict is Verdict.ACT
    assert doctor._sqlite("3.54.1", ()).verdict is Verdict.ACT
    assert doctor._sqlite("3.51.3", ("ENABLE_FTS5",)).verdict is Verdict.GOOD


@pytest.mark.parametrize(
    ("free", "size", "verdict"),
    [
        (50e6, 0, Verdict.ACT),
        (600e6, 0, Verdict.ADVICE),
        (5e9, 4e9, Verdict.ADVICE),
        (5e9, 1e9, Verdict.GOOD),
    ],
)
def test_a_full_disk_is_told_before_it_is_full(
    tmp_path: Path, free: float, size: float, verdict: Verdict
) -> None:
    assert doctor._disk(tmp_path, free, size).verdict is verdict


def test_rows_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "store.db") as store:
        with store._database.write() as transaction:
            transaction.run(
                "INSERT INTO main.decisions (decision_id, time, scope, action, record) VALUES (?,?,?,?,?)",
                ("d", 1.0, "all", "keep", "{half"),
            )
        assert store.decisions() == []
        about_store = of(doctor.examine_open(store), "store")
    assert [f.verdict for f in about_store] == [Verdict.GOOD, Verdict.ADVICE]
    assert "1 rows" in about_store[1].found


def test_a_store_in_memory_is_examined_too() -> None:
    with MemoryStore() as store:
        assert "MemoryStore" in of(doctor.examine_open(store), "store")[0].found
