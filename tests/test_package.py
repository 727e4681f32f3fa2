"""What is shipped works away from the checkout, and says nothing that it should not."""

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_string
from itertools import chain
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as its wheel unpacks, and no checkout near it."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def _run(installed: Path, *args: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", "from athena_tuning.cli import main; main()", *args],
        check=False,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(installed), **env},
    )


def test_the_wheel_carries_the_app_its_pages_its_look_and_the_sample_data(installed: Path) -> None:
    dashboard = installed / "athena_tuning" / "dashboard"
    for part in ("app.py", "pages", "sample_data", "monitoring/grafana.json", ".streamlit/config.toml"):
        assert (dashboard / part).exists(), part
    in_checkout = {p.relative_to(ROOT) for p in (ROOT / "pages").rglob("*.py")}
    assert {p.relative_to(dashboard) for p in (dashboard / "pages").rglob("*.py")} == in_checkout


def test_the_wheel_tells_its_licence_its_extras_and_the_pythons_it_runs_on(installed: Path) -> None:
    (told,) = installed.glob("*.dist-info")
    about = message_from_string((told / "METADATA").read_text("utf-8"))
    assert about["License-Expression"] == "MIT"
    assert (told / "licenses" / "LICENSE").read_text("utf-8") == (ROOT / "LICENSE").read_text("utf-8")
    assert set(about.get_all("Provides-Extra", [])) == set(PROJECT["optional-dependencies"])
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"Programming Language :: Python :: {running}" in about.get_all("Classifier", [])


def test_the_readme_lists_every_extra_for_users() -> None:
    listed = re.findall(r"^\| (`[a-z`, -]+) \|", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    extras = set(PROJECT["optional-dependencies"]) - {"dev", "docs", "soak"}
    assert extras <= {name for cell in listed for name in re.findall(r"[a-z-]+", cell)}


def test_a_commit_is_checked_by_what_make_check_runs() -> None:
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert local["repo"] == "local"
    hooks = {hook["entry"].removesuffix(" --force-exclude") for hook in local["hooks"]}
    recipe = re.search(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert recipe is not None
    checks = {line.strip().replace("$(BIN)", ".venv/bin") for line in recipe[1].splitlines()}
    assert hooks == {check.removesuffix(" .").removesuffix(" --check") for check in checks}


def test_the_installed_command_helps_from_any_folder(installed: Path, tmp_path: Path) -> None:
    done = _run(installed, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert {"dashboard", "ingest", "recall"} <= set(done.stdout.split())


def test_the_installed_package_recalls_from_its_own_sample_memory(installed: Path, tmp_path: Path) -> None:
    sample = installed / "athena_tuning" / "dashboard" / "sample_data" / "memory.jsonl.gz"
    home = {"ATHENA_TUNING_HOME": str(tmp_path / "home")}
    done = _run(installed, "ingest", str(sample), cwd=tmp_path, **home)
    assert done.returncode == 0, done.stderr
    done = _run(installed, "recall", "what happened in the last incident?", "--json", cwd=tmp_path, **home)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["results"]


def test_constraints_pin_names_and_versions_only() -> None:
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line), line


def test_the_requirements_are_what_the_dashboard_needs() -> None:
    assert (ROOT / "requirements.txt").read_text() == "-e .[dashboard]\n"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {"streamlit", "plotly"} <= {re.split(r"[><=~!]", wanted)[0] for wanted in extras["dashboard"]}


def test_every_direct_dependency_is_pinned() -> None:
    wanted = [*PROJECT["dependencies"], *chain(*PROJECT["optional-dependencies"].values())]
    names = {re.split(r"[\[><=~! ]", w)[0].lower().replace("_", "-") for w in wanted}
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    assert names - {"athena-tuning"} <= pinned
