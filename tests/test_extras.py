"""A plain install measures, tunes, stores and has its command line; a missing extra is named."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
MEGABYTE = 1 << 20

OF_EXTRAS = (
    "streamlit",
    "plotly",
    "pandas",
    "pyarrow",
    "opentelemetry",
    "prometheus_client",
    "fastapi",
    "mcp",
    "nats",
    "psycopg",
    "psycopg_pool",
    "scipy",
)
ABSENT = """
import os, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        for absent in os.environ["ABSENT"].split():
            if name == absent or name.startswith(absent + "."):
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
"""

CORE = """
import sys
import athena_tuning as at

with at.open_store("sqlite:///shared.db") as store, at.MemoryManager("memory.db", store=store) as manager:
    for n in range(40):
        manager.remember({"id": f"e{n}", "layer": "episodic", "text": f"The deploy {n} failed on Friday."})
    for n in range(200):
        answer = manager.recall(f"what failed in deploy {n % 40} on Friday?", use_cache=False)
    assert answer["episodic"], answer
    assert len(manager.profiler.metrics) == 200
    manager.apply_config(
        at.TuningConfig(max_concurrent=7),
        expected_version=manager.configs.default.version,
        actor="me",
        reason="more",
    )
    assert store.config_set().default.config.max_concurrent == 7
    tuner = at.AutoTuner(manager.profiler)
    assert tuner.get_tuning_report()
    decision = at.AutoTuner(manager.profiler, policy="rules").propose()
    assert decision.samples == 200, decision

with at.Control("memory://") as control, control.measure("who owns billing?", "factual") as query:
    with query.layer("semantic") as layer:
        layer.result_count = 3
print([name for name in OF_EXTRAS if name in sys.modules])
"""

COMMANDS = (
    "--help",
    "ingest {root}/sample_data/memory.jsonl.gz",
    "recall 'what happened in the last incident?' --json",
    "status --json",
    "workers --json",
    "config show --json",
    "config history --json",
    "load run --rate 60 --seconds 2 --json",
    "load list --json",
    "load export runs.csv",
    "report newest",
    "metrics export recalls.jsonl",
    "import recalls.jsonl --preview --json",
    "forward --hours 1 --rate 1 --out forward.csv",
    "what-if --sample bursty --over switches --json",
)

EACH_IN_TURN = """
import json, shlex, sys
from click.testing import CliRunner
from athena_tuning.cli import main

for command in sys.argv[1:]:
    done = CliRunner().invoke(main, shlex.split(command))
    print(json.dumps([command, done.exit_code, done.stdout, f"{done.stderr}{done.exception or ''}"]))
"""

A_RUN = "load run --rate 30 --seconds 1"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run_without(tmp_path: Path) -> Run:
    """Return what runs Python in a fresh folder; it and its children cannot import some packages."""
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(ABSENT)

    def run(absent: tuple[str, ...], *args: str) -> subprocess.CompletedProcess[str]:
        env = {
            **os.environ,
            "ABSENT": " ".join(absent),
            "ATHENA_TUNING_HOME": str(tmp_path / "home"),
            "PYTHONPATH": os.pathsep.join((str(hook), str(ROOT))),
        }
        return subprocess.run(
            [sys.executable, *args],
            check=False,
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


@pytest.mark.parametrize("absent", [(), OF_EXTRAS], ids=["all extras installed", "no extra installed"])
def test_manager_store_tuner_and_control_run_and_import_nothing_of_an_extra(run_without: Run, absent) -> None:
    done = run_without(absent, "-c", f"OF_EXTRAS = {OF_EXTRAS!r}\n{CORE}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_the_command_line_runs_without_any_extra(run_without: Run) -> None:
    done = run_without(OF_EXTRAS, "-c", EACH_IN_TURN, *(command.format(root=ROOT) for command in COMMANDS))
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == len(COMMANDS)
    for command, exit_code, output, problem in results:
        assert exit_code == 0, f"{command}\n{output}\n{problem}"
        assert output.strip(), command
        if "--json" in command:
            json.loads(output)


def test_every_module_imports_without_extras_but_those_that_are_about_one(run_without: Run) -> None:
    program = """
import importlib, pkgutil, athena_tuning
from athena_tuning.extras import MissingExtra
for found in pkgutil.walk_packages(athena_tuning.__path__, "athena_tuning.", onerror=lambda name: None):
    try:
        importlib.import_module(found.name)
    except MissingExtra as error:
        print(found.name, "names an extra")
    except ImportError as error:
        print(found.name, error.name)
"""
    done = run_without(OF_EXTRAS, "-c", program)
    assert done.returncode == 0, done.stderr
    failed = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert "names an extra" in failed.values()
    others = {name: why for name, why in failed.items() if why != "names an extra"}
    assert set(others.values()) <= {"streamlit", "plotly"}, "of the dashboard"
    assert [name for name in others if not name.startswith("athena_tuning.ui.")] == []


@pytest.mark.parametrize(
    ("extra", "absent", "command"),
    [
        ("dashboard", ("streamlit",), "dashboard"),
        ("dashboard", ("plotly",), "dashboard --attach"),
        ("files", ("pyarrow",), "metrics export recalls.parquet"),
        ("files", ("pyarrow",), "load export runs.parquet"),
        ("files", ("pyarrow",), "import {file} --preview"),
        ("files", ("pyarrow",), "forward --hours 0.1 --out forward.parquet"),
        ("postgres", ("psycopg",), "status --store postgresql://nobody@localhost/nothing"),
        ("postgres", ("psycopg_pool",), "manager --store postgresql://nobody@localhost/nothing"),
        ("prometheus", ("prometheus_client",), "manager --metrics-port 0"),
        ("otel", ("opentelemetry",), "manager --otlp http://localhost:4318"),
        ("http", ("fastapi",), "serve"),
        ("mcp", ("mcp",), "mcp"),
        ("otlp", ("opentelemetry.exporter",), "manager --otlp http://localhost:4318"),
    ],
)
def test_the_command_line_names_the_extra_that_is_missing(
    run_without: Run, tmp_path: Path, extra: str, absent: tuple[str, ...], command: str
) -> None:
    file = tmp_path / "others.parquet"
    file.write_bytes(b"PAR1")
    if command.startswith("load export"):
        made = run_without((), "-c", "from athena_tuning.cli import main; main()", *shlex.split(A_RUN))
        assert made.returncode == 0, made.stderr
    words = shlex.split(command.format(file=file))
    done = run_without(absent, "-c", "from athena_tuning.cli import main; main()", *words)
    assert done.returncode == 1, done.stdout
    assert f"pip install 'athena-tuning[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("hook", "home", file.name)] == []


@pytest.mark.parametrize(
    ("extra", "absent", "program"),
    [
        ("otel", "opentelemetry", "from athena_tuning import QuerySpanProcessor"),
        ("prometheus", "prometheus_client", "import athena_tuning.integrations.prometheus"),
        ("pandas", "pandas", "from athena_tuning import PerformanceProfiler as P; P().to_pandas()"),
        (
            "pandas",
            "pandas",
            "from athena_tuning import open_store as o; o('memory://').workers().to_pandas()",
        ),
    ],
)
def test_what_is_missing_for_a_program_is_an_import_error_that_names_the_extra(
    run_without: Run, extra: str, absent: str, program: str
) -> None:
    code = f"try:\n    {program}\nexcept ImportError as error:\n    print(error)"
    done = run_without((absent,), "-c", code)
    assert f"pip install 'athena-tuning[{extra}]'" in done.stdout, done.stderr
    assert absent in done.stdout


def test_a_plain_install_brings_at_most_130_mb_and_nothing_of_an_extra() -> None:
    brought = set(_closure("athena-tuning"))
    assert {"numpy", "apsw", "click", "rich"} <= brought
    assert brought & {name.replace("_", "-") for name in OF_EXTRAS} == set()
    ours = sum(path.stat().st_size for path in (ROOT / "athena_tuning").rglob("*") if path.is_file())
    sizes = {name: _size(name) for name in brought - {"athena-tuning"}}
    assert sizes["numpy"] > MEGABYTE
    assert ours + sum(sizes.values()) < 130 * MEGABYTE, sizes


def _closure(name: str) -> Iterator[str]:
    """Give a distribution and what it requires here without any extra, again and again."""
    waiting, known = [name], set()
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in known:
            continue
        known.add(name)
        yield name
        required = map(Requirement, metadata.requires(name) or ())
        waiting += [r.name for r in required if r.marker is None or r.marker.evaluate({"extra": ""})]


def _size(name: str) -> int:
    """Return the bytes that a distribution has on the disk."""
    files = metadata.files(name) or ()
    return sum(path.stat().st_size for path in (Path(file.locate()) for file in files) if path.exists())
