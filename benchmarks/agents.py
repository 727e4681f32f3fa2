"""How long an agent waits for a recall over the Model Context Protocol, beside the same recall in process.

The server is a process of its own over the sample memory; the client is the protocol's own. Every question is
new to the cache.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from harness import Figure, median, options, quantile, report
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from athena_tuning import MemoryManager
from athena_tuning.samples.queries import sample_queries
from athena_tuning.service.embedded import build_memory


def questions(number: int) -> list[str]:
    """Return so many different questions about the sample memory."""
    asked = [question.text for of_type in sample_queries().values() for question in of_type]
    return [f"{asked[i % len(asked)]} {'' if i < len(asked) else i}" for i in range(number)]


async def over_stdio(home: Path, asked: list[str]) -> list[float]:
    """Return the ms that an agent waits for each answer."""
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "athena_tuning", "mcp"],
        env={**os.environ, "ATHENA_TUNING_HOME": str(home)},
    )
    waits = []
    async with Client(server) as client:
        for question in asked:
            began = time.perf_counter()
            answer = await client.call_tool("recall", {"query": question})
            waits.append((time.perf_counter() - began) * 1000)
            if answer.is_error:
                raise RuntimeError(str(answer))
    return waits


def in_process(home: Path, asked: list[str]) -> list[float]:
    """Return the ms that the same recalls take in this process."""
    waits = []
    with MemoryManager(home / "memory.db") as manager:
        for question in asked:
            began = time.perf_counter()
            manager.recall(question)
            waits.append((time.perf_counter() - began) * 1000)
    return waits


def main() -> int:
    """Measure and report."""
    chosen = options(__doc__)
    asked = questions(300 if chosen.quick else 2000)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        build_memory(home / "memory.db")
        direct = in_process(home, asked)
        waits = asyncio.run(over_stdio(home, asked))
    warm = len(asked) // 10
    return report(
        [
            Figure("recall in process, p50", median(direct[warm:]), "ms"),
            Figure("recall over stdio, p50", median(waits[warm:]), "ms", 5.0),
            Figure("recall over stdio, p99", quantile(waits[warm:], 0.99), "ms"),
        ],
        chosen,
    )


if __name__ == "__main__":
    raise SystemExit(main())
