"""Measures a full-text search of one's own: a ``with`` around the query, one around each layer."""

import sqlite3
import time

from athena_tuning import PerformanceProfiler

NOTES = ["The billing deploy failed on Friday.", "Billing is owned by Ana.", "To deploy, run make release."]

profiler = PerformanceProfiler()
database = sqlite3.connect(":memory:")
database.execute("CREATE VIRTUAL TABLE note USING fts5(text)")
database.executemany("INSERT INTO note VALUES (?)", [(note,) for note in NOTES])
seen: dict[str, float] = {}


def search(text: str) -> list[str]:
    with profiler.measure(text, "factual") as query:
        with query.layer("semantic") as layer:
            rows = database.execute("SELECT text FROM note WHERE note MATCH ?", (text,)).fetchall()
            layer.result_count = len(rows)
        with query.layer("episodic") as layer:
            recent = [asked for asked, at in seen.items() if at > time.time() - 3600]
            layer.result_count = len(recent)
        seen[text] = time.time()
        query.cache_hit = False
        return [row[0] for row in rows]


if __name__ == "__main__":
    for text in ("billing", "deploy", "ana") * 20:
        search(text)
    measured = profiler.get_layer_metrics("semantic")
    assert measured is not None
    print(f"{measured.total_queries} queries, semantic p99 {measured.p99_latency_ms:.3f} ms")
