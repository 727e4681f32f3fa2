"""What the container files say fits the program: its commands and options, ports, extras and rules."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest
import yaml

from athena_tuning import settings
from athena_tuning.cli import main
from athena_tuning.cluster.address import Address

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
COMMANDS = {name: service["command"] for name, service in SERVICES.items() if "command" in service}


def parsed(words):
    """The arguments of a command line of ours, as the command takes them."""
    program, name, *arguments = words
    assert program == "athena-tuning"
    command = main.get_command(click.Context(main), name)
    assert command is not None, name
    return command.make_context(name, list(arguments)).params


def test_the_image_runs_the_app_for_others_as_no_root_and_says_whether_it_is_well():
    last = re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.M)[-1]
    started = parsed(yaml.safe_load(last))
    assert (started["host"], started["port"]) == ("0.0.0.0", 8501)
    assert "EXPOSE 8501" in DOCKERFILE
    assert "127.0.0.1:8501/_stcore/health" in DOCKERFILE
    assert DOCKERFILE.index("USER athena") < DOCKERFILE.index("\nCMD ")
    named = re.findall(r"ATHENA_TUNING_\w+", DOCKERFILE + (ROOT / "compose.yaml").read_text("utf-8"))
    assert set(named) <= {setting.name for setting in settings.KNOWN}


def test_the_image_installs_an_extra_that_there_is_and_leaves_out_what_it_does_not_need():
    [extra] = re.findall(r"'\.\[(\w+)\]'", DOCKERFILE)
    assert (
        extra
        in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    )
    ignored = (ROOT / ".dockerignore").read_text("utf-8").split()
    assert not {"pyproject.toml", "athena_tuning", "app.py", "pages", "sample_data", "monitoring"} & set(
        ignored
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_a_service_is_started_with_options_that_there_are(name):
    parsed(COMMANDS[name])


def test_two_managers_answer_on_the_broker_and_the_dashboard_watches_them():
    manager, url = SERVICES["manager"], parsed(COMMANDS["manager"])["cluster"]
    address = Address.parse(url)
    assert manager["deploy"]["replicas"] == 2
    assert [urlsplit(server).hostname for server in address.servers] == ["nats"]
    assert SERVICES["nats"]["image"].startswith("nats:")
    assert {"nats", "postgres"} <= manager["depends_on"].keys()
    assert parsed(COMMANDS["dashboard"])["attach"]
    stores = {SERVICES[name]["environment"]["ATHENA_TUNING_STORE"] for name in ("manager", "dashboard")}
    assert [urlsplit(store).hostname for store in stores] == ["postgres"]


def test_every_service_is_known_to_those_that_depend_on_it_and_has_an_image():
    for name, service in SERVICES.items():
        assert service.keys() & {"image", "build"}, name
        assert {*service.get("depends_on", ())} <= SERVICES.keys(), name
    healthy = [
        other
        for service in SERVICES.values()
        for other, needs in service.get("depends_on", {}).items()
        if needs["condition"] == "service_healthy"
    ]
    assert healthy
    assert all("healthcheck" in SERVICES[name] for name in healthy)


def test_prometheus_scrapes_the_managers_where_they_serve_their_metrics():
    config = yaml.safe_load((ROOT / "monitoring" / "prometheus.yml").read_text("utf-8"))
    [source] = config["scrape_configs"][0]["dns_sd_configs"]
    [name] = source["names"]
    assert parsed(COMMANDS[name])["metrics_port"] == source["port"]
    mounted = [
        volume.split(":")[0] for volume in SERVICES["prometheus"]["volumes"] if volume.startswith("./")
    ]
    assert all((ROOT / path).is_file() for path in mounted)
    assert {Path(path).name for path in mounted} >= set(config["rule_files"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_the_configuration_sound():
    done = subprocess.run(
        ["promtool", "check", "config", "monitoring/prometheus.yml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
