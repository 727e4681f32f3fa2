"""The command line takes defaults from the file of settings, and shows where each setting is from."""

from __future__ import annotations

import json

import click
import pytest

from athena_tuning import settings
from athena_tuning.cli import main
from tests.support import command_line


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the command line with a file of settings."""
    path = tmp_path / "config.toml"
    monkeypatch.setenv("ATHENA_TUNING_CONFIG", str(path))

    def ran(text, *arguments):
        path.write_text(text, encoding="utf-8")
        settings._read.cache_clear()
        return command_line.run(*arguments)

    yield ran
    settings._read.cache_clear()


def test_settings_are_shown_with_their_sources_and_without_secrets(run, monkeypatch, tmp_path):
    monkeypatch.setenv("ATHENA_TUNING_OPERATOR_TOKEN", "open sesame")
    text = 'store = "postgresql://me:geheim@host/db"\n[load.run]\nrate = 50\n[dashboard]\nport = 8600\n'
    shown = run(text, "settings", "--json")
    assert "sesame" not in shown.output
    assert "geheim" not in shown.output
    data = json.loads(shown.output)
    rows = {row["setting"]: row for row in data["settings"]}
    assert rows["store"]["value"] == "postgresql://me:…@host/db"
    assert rows["store"]["from"] == data["file"] == str(tmp_path / "config.toml")
    assert (rows["operator_token"]["value"], rows["operator_token"]["from"]) == ("(secret)", "environment")
    assert (rows["texts"]["value"], rows["texts"]["from"], rows["texts"]["default"]) == (
        None,
        "default",
        "keep",
    )
    assert data["commands"] == {"load run --rate": 50, "dashboard --port": 8600}
    assert "dashboard --port = 8600" in run(text, "settings").output


def test_a_table_of_the_file_gives_a_command_its_defaults_and_arguments_come_first(run):
    text = "[status]\njson = true\n"
    assert "strategy" in json.loads(run(text, "status").output)["standing"]
    assert not run("", "status").output.startswith("{")
    workers = run("[workers]\njson = true\n", "status")
    assert not workers.output.startswith("{"), "another command's table is not its own"


@pytest.mark.parametrize(
    ("text", "arguments", "told"),
    [
        ("[status]\njsn = true\n", ["status"], "[status] has no option 'jsn'; there are json, min"),
        ("[load.rn]\nrate = 1\n", ["load", "list"], "[load] has no option 'rn'; there are"),
        ("[status]\njson = true\nstatus = 1", ["status"], "has no option 'status'"),
        ("status = 1", ["status"], "there is no setting 'status'"),
        ("[load]\nrun = 3", ["load", "list"], "[load], run is to be a table"),
    ],
)
def test_an_unknown_option_in_the_file_is_refused_in_words(run, text, arguments, told):
    refused = run(text, *arguments)
    assert refused.exit_code == 1
    assert told in refused.output


def test_the_list_of_commands_says_of_each_what_the_command_says_of_itself():
    context = click.Context(main)
    for name, (_, short) in main.modules.items():
        command = main.get_command(context, name)
        assert (command.help or "").replace("\n", " ").startswith(short.removesuffix(".")), name
