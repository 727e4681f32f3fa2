"""Measures layers that run at the same time on an event loop: ``async with`` around each."""

import asyncio
import sqlite3

from athena_tuning import PerformanceProfiler
from athena_tuning.profiling.measure import MeasuredQuery

profiler = PerformanceProfiler()
both = asyncio.Barrier(2)


async def count(query: MeasuredQuery, layer_name: str, sql: str) -> int:
    """Ask a database in a thread, as asyncio wants it for what blocks."""

    def ask() -> int:
        with sqlite3.connect(":memory:") as database:
            return int(database.execute(sql).fetchone()[0])

    async with query.layer(layer_name) as layer:
        await both.wait()
        layer.result_count = await asyncio.to_thread(ask)
        return layer.result_count


async def search(text: str) -> int:
    async with profiler.measure(text, "relational") as query:
        return sum(
            await asyncio.gather(
                count(query, "semantic", "SELECT 40 + 2"), count(query, "graph", "SELECT length('tea')")
            )
        )


if __name__ == "__main__":
    print(asyncio.run(search("who depends on billing?")), "found")
    measured = profiler.metrics[-1]
    print(f"{measured.concurrency_level} layers at once, {measured.latency_ms:.2f} ms")
