"""``athena-tuning store``: takes care of a store, for people and for scripts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result

from athena_tuning.model import TuningConfig
from athena_tuning.store import ConfigChange, open_store
from tests.support import command_line


def run(*args: str) -> Result:
    return command_line.run("store", *args)


def report_of(*args: str) -> dict[str, object]:
    report: dict[str, object] = json.loads(run(*args, "--json").stdout)
    return report


def apply(url: str, limit: int, expected: int) -> None:
    with open_store(url) as store:
        config = TuningConfig(max_concurrent=limit)
        store.apply_config(ConfigChange(config, expected_version=expected, actor="ann", reason="r"))


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    apply(url, 3, 0)
    return url


def test_check_says_what_a_sound_store_holds(url: str) -> None:
    told = run("check", "--store", f" {url}\n")
    assert told.exit_code == 0
    assert "sound" in told.stdout
    report = report_of("check", "--store", url)
    assert (report["sound"], report["config_versions"], report["records"]) == (True, 1, 0)


def test_check_of_a_damaged_store_ends_with_1_and_names_the_way_out(url: str, tmp_path: Path) -> None:
    with (tmp_path / "store.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * 40_000)
    told = run("check", "--store", url)
    assert told.exit_code == 1
    assert "store repair" in told.output


def test_a_backup_is_restored_only_when_a_person_says_so(url: str, tmp_path: Path) -> None:
    file = tmp_path / "backup.db"
    assert report_of("backup", str(file), "--store", url)["bytes"] == file.stat().st_size
    apply(url, 11, 1)
    refused = run("restore", str(file), "--store", url)
    assert (refused.exit_code, "--yes" in refused.output) == (3, True)
    with open_store(url) as store:
        assert store.config_set().default.config.max_concurrent == 11
    assert run("restore", str(file), "--yes", "--store", url).exit_code == 0
    with open_store(url) as store:
        assert store.config_set().default.config.max_concurrent == 3
        assert "restored it from backup.db" in store.events()[-1].text


def test_a_backup_is_restored_where_there_was_no_store(url: str, tmp_path: Path) -> None:
    file = tmp_path / "backup.db"
    run("backup", str(file), "--store", url)
    elsewhere = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    assert report_of("restore", str(file), "--store", elsewhere)["restored"] is True
    assert report_of("check", "--store", elsewhere)["config_versions"] == 1


def test_repair_of_a_sound_store_loses_nothing_and_compact_tells_the_sizes(url: str) -> None:
    assert report_of("repair", "--store", url) == {"lost": {}}
    done = report_of("compact", "--store", url)
    assert isinstance(done["after"], int)
    assert report_of("check", "--store", url)["config_versions"] == 1


def test_what_cannot_be_done_is_said_in_a_line(url: str, tmp_path: Path) -> None:
    for args, words in (
        (("backup", str(tmp_path / "store.db"), "--store", url), "there already"),
        (("backup", str(tmp_path / "b.db"), "--store", f"sqlite:///{tmp_path / 'none.db'}"), "no such file"),
        (("backup", str(tmp_path / "b.db"), "--store", "postgresql://me:secret@host/db"), "pg_dump"),
        (("repair", "--store", "memory://"), "nothing is kept"),
    ):
        told = run(*args)
        assert (told.exit_code, words in told.output) == (1, True), told.output
        assert "secret" not in told.output
        assert "Traceback" not in told.output
