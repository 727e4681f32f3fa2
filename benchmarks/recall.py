"""Recall: quality by layer set, time by layer, throughput by threads, and what the manager adds.

Quality is recall@10 on the shared conversations (582 questions, each in its own conversation); without them
the sample memory is used and quality is left out. Ingest and the layers are measured in CPU time beside a
plain FTS5 table of the same texts, in turns, so that neither another machine nor other work on it matters.
What is measured stands in the modules that begin with ``recall_``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from harness import options, report
from recall_at_once import many_at_once, throughput
from recall_cost import overhead, own_cost, repeated_answer
from recall_index import by_layer, ingest_ratio, over_bare_queries, query_ratios
from recall_memory import memory_items, memory_questions
from recall_quality import quality

from athena_tuning.recall import MemoryManager
from athena_tuning.recall.ingest import ingest_file


def main() -> int:
    asked = options(__doc__)
    with tempfile.TemporaryDirectory() as folder, MemoryManager(Path(folder) / "memory.db") as manager:
        items, gold = memory_items()
        ingest_file(manager, items)
        questions = memory_questions(items, gold)
        some = questions[:: 6 if asked.quick else 1]
        figures = [ingest_ratio(items, 3 if asked.quick else 7)]
        figures += quality(manager, some) if gold else []
        figures += by_layer(manager, some)
        figures += query_ratios(manager, some, items, gold, 3 if asked.quick else 7)
        figures += over_bare_queries(manager, some, 3 if asked.quick else 7)
        figures += throughput(manager, questions, 0.5 if asked.quick else 4.0)
    figures += overhead(500 if asked.quick else 5000)
    figures += many_at_once(3 if asked.quick else 9)
    figures += own_cost(100 if asked.quick else 500)
    figures += repeated_answer(50 if asked.quick else 300)
    return report(figures, asked)


if __name__ == "__main__":
    raise SystemExit(main())
