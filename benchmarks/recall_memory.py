"""The memory that recalls are measured on: the shared conversations, or the sample memory without them."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from athena_tuning import locations
from athena_tuning.model import TuningConfig
from athena_tuning.recall import MemoryManager
from athena_tuning.recall.ingest import ingest_file

SHARED = Path(__file__).parents[2] / "shared" / "data" / "memory"


def load(manager: MemoryManager) -> tuple[list[dict[str, Any]], bool]:
    """Load ``memory_items``; return ``memory_questions``, and whether the right answers are known."""
    items, gold = memory_items()
    ingest_file(manager, items)
    return memory_questions(items, gold), gold


def memory_items() -> tuple[Path, bool]:
    """Return the shared conversations, or the sample memory, and whether the right answers are known."""
    items = SHARED / "conversation_items.jsonl.gz"
    if items.is_file():
        return items, True
    return next(locations.sample_data().glob("*memory*.jsonl.gz")), False


def memory_questions(items: Path, gold: bool) -> list[dict[str, Any]]:
    """Return the questions of the shared conversations, or texts of the sample memory."""
    if gold:
        with gzip.open(SHARED / "conversation_queries.jsonl.gz") as lines:
            asked = [json.loads(line) for line in lines]
        return [q for q in asked if not q["adversarial"] and q["evidence"]]
    with gzip.open(items) as lines:
        texts = [json.loads(line) for line in lines]
    return [{"text": i["text"][:60], "conv": i.get("scope")} for i in texts[::7] if i["text"].strip()]


def with_config(manager: MemoryManager, **values: Any) -> MemoryManager:
    manager.apply_config(
        TuningConfig(**values),
        expected_version=manager.configs.default.version,
        actor="benchmark",
        reason="a fixed config",
    )
    return manager


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return time.thread_time() - start
