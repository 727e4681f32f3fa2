"""Records the sample workloads: really runs a manager under load, and keeps what it measured.

``python -m athena_tuning.load.record_samples [NAME …]`` makes the files in ``sample_data/workloads``
anew (all of them in a quarter of an hour). The memory is the sample memory; "remote" layers are the built-in
ones behind simulated waits (``RemoteLayer``); everything else is as in production. What is recorded depends
on the machine and its other work, so two recordings are alike but not equal.
"""

from __future__ import annotations

import gzip
import json
import logging
import os
import platform
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import closing
from importlib import resources
from pathlib import Path
from random import Random
from typing import Any

from athena_tuning import locations
from athena_tuning.interchange.record_json import to_plain
from athena_tuning.load.run import LoadRun
from athena_tuning.load.simulated_layer import RemoteLayer
from athena_tuning.load.spec import LoadSpec
from athena_tuning.model import QueryMetrics, TuningConfig
from athena_tuning.profiling import PerformanceProfiler
from athena_tuning.recall import MemoryManager
from athena_tuning.recall.layers.base import Layer
from athena_tuning.recall.memory import Memory
from athena_tuning.samples.sample_memory import generate

log = logging.getLogger(__name__)

_MOST_RECORDS = 100_000


def recipes() -> list[dict[str, Any]]:
    """Return how each sample workload is recorded."""
    text = resources.files(__package__).joinpath("recipes.toml").read_text("utf-8")
    recipes: list[dict[str, Any]] = tomllib.loads(text)["workload"]
    return recipes


def record(recipe: Mapping[str, Any], memory_path: Path) -> tuple[dict[str, Any], list[QueryMetrics]]:
    """Run a recipe in real time; return what describes the recording, and its records.

    Args:
        recipe: one of ``recipes()``.
        memory_path: a file that holds the memory to ask.
    """
    profiler = PerformanceProfiler(max_metrics=_MOST_RECORDS)
    spec = LoadSpec.from_dict(recipe["load"])
    with (
        closing(Memory(memory_path)) as memory,
        MemoryManager(memory_path, layers=_layers(recipe, memory), profiler=profiler) as manager,
    ):
        if "config" in recipe:
            config = TuningConfig.from_dict(recipe["config"])
            manager.apply_config(config, expected_version=0, actor="recipe", reason="as the recipe says")
        run = LoadRun(manager, spec, run_id=recipe["name"]).start()
        run.wait()
        profiler.fold()
        records = list(profiler.metrics)
        description = {
            "name": recipe["name"],
            "title": recipe["title"],
            "teaches": recipe["teaches"],
            "stretch": recipe.get("stretch", 1.0),
            "recalls": len(records),
            "seconds": round(run.summary().elapsed_s, 1),
            "layers": list(manager.layers),
            "waits_ms": recipe.get("waits_ms", {}),
            "failures": recipe.get("failures", 0.0),
            "config": manager.config.to_dict(),
            "load": spec.to_dict(),
            "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
        }
    return description, records


def _layers(recipe: Mapping[str, Any], memory: Memory) -> list[Layer]:
    """Return the memory's layers, those that the recipe says behind a simulated network."""
    waits = recipe.get("waits_ms", {})
    layers: list[Layer] = []
    for layer in memory.layers.values():
        median = waits.get(layer.name, waits.get("all"))
        rng = Random(f"{recipe['name']} {layer.name}")
        spread, failures = recipe.get("spread", 0.5), recipe.get("failures", 0.0)
        layers.append(RemoteLayer(layer, median, spread, failures, rng=rng) if median else layer)
    return layers


def write(folder: Path, description: Mapping[str, Any], records: Sequence[QueryMetrics]) -> None:
    """Write a recording as ``NAME.jsonl.gz`` (times to the microsecond) and ``NAME.json``."""
    name = description["name"]
    lines = [
        json.dumps(
            _rounded(to_plain(m._replace(query_id=f"{name}-{number}", config_version=0, source="sample")))
        )
        for number, m in enumerate(sorted(records, key=lambda m: m.timestamp), 1)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.jsonl.gz").write_bytes(gzip.compress("\n".join([*lines, ""]).encode(), 9, mtime=0))
    (folder / f"{name}.json").write_text(
        json.dumps(description, indent=1, ensure_ascii=False) + "\n", "utf-8"
    )


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list) else value


def main(names: Sequence[str]) -> None:
    """Record the named workloads, or all of them."""
    known = {recipe["name"]: recipe for recipe in recipes()}
    if unknown := set(names) - set(known):
        raise SystemExit(f"there is no recipe {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "memory.db"
        with MemoryManager(path) as manager:
            manager.remember_many(generate())
        for name in names or known:
            description, records = record(known[name], path)
            write(locations.sample_data() / "workloads", description, records)
            log.warning(
                "recorded %s: %d recalls in %.0f s", name, description["recalls"], description["seconds"]
            )


if __name__ == "__main__":
    main(sys.argv[1:])
