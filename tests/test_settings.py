"""Settings come from the environment, then from a file, then there is a default; a bad file is refused."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from athena_tuning import locations, settings
from athena_tuning.store.text_policy import TextPolicy, text_policy

ROOT = Path(__file__).parents[1]


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes the file of settings, in an environment that sets nothing."""
    for setting in settings.KNOWN:
        monkeypatch.delenv(setting.name, raising=False)
    path = tmp_path / "config.toml"
    monkeypatch.setenv("ATHENA_TUNING_CONFIG", str(path))

    def written(text):
        path.write_text(text, encoding="utf-8")
        settings._read.cache_clear()
        return path

    yield written
    settings._read.cache_clear()


def test_a_setting_of_the_file_is_obeyed_and_the_environment_comes_first(write, monkeypatch):
    path = write(
        'store = "sqlite:////srv/store.db"\ntexts = "hash"\ndemo = false\nslo_ms = 250\nhosts = ["a", "b"]'
    )
    assert locations.default_store_url() == "sqlite:////srv/store.db"
    assert text_policy() is TextPolicy.HASH
    values = [settings.current[f"ATHENA_TUNING_{name}"] for name in ("DEMO", "SLO_MS", "HOSTS")]
    assert values == ["0", "250", "a,b"]
    assert settings.current.source("ATHENA_TUNING_TEXTS") == str(path)
    monkeypatch.setenv("ATHENA_TUNING_TEXTS", "drop")
    assert text_policy() is TextPolicy.DROP
    assert settings.current.source("ATHENA_TUNING_TEXTS") == "environment"
    assert settings.current.source("ATHENA_TUNING_ROLE") == "default"


def test_a_file_that_nobody_named_may_be_missing(monkeypatch, tmp_path):
    monkeypatch.delenv("ATHENA_TUNING_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert settings.settings_file() == settings.SettingsFile(tmp_path / "athena-tuning" / "config.toml")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('stroe = "x"', "no setting 'stroe'; is 'store' meant"),
        ("zzz = 1", "no setting 'zzz'; there are attach, demo, home"),
        ("store = ", "cannot be read: Invalid value"),
        ("hosts = [1, 2]", "hosts is to be a text, a number, true, false or a list of texts"),
    ],
)
def test_a_file_that_cannot_be_obeyed_is_refused_with_where_and_why(write, text, told):
    path = write(text)
    with pytest.raises(settings.SettingsError, match=re.escape(told)) as refused:
        locations.default_store_url()
    assert str(path) in str(refused.value)


def test_a_file_that_is_named_and_missing_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("ATHENA_TUNING_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(settings.SettingsError, match=r"names .*none\.toml, which is missing"):
        settings.settings_file()


def test_the_docs_list_every_setting_that_the_code_reads():
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for setting in settings.KNOWN:
        assert f"| `{setting.key}` | `{setting.name}` | {setting.meaning} | {setting.default} |" in page
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "athena_tuning").rglob("*.py"))
    read = set(re.findall(r"ATHENA_TUNING_[A-Z_]+", code)) - {settings.FILE_SETTING, settings.PREFIX}
    assert read <= {setting.name for setting in settings.KNOWN}, os.linesep.join(sorted(read))
