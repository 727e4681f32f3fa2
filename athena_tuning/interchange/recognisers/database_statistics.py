"""Statistics by statement that databases keep: known in order to be refused."""

from __future__ import annotations

from athena_tuning.interchange.recognition import CERTAIN, Recogniser, Recognition, Refusal
from athena_tuning.interchange.shape import Sample

_MARKS = {
    "PostgreSQL's pg_stat_statements": (
        {"calls", "query"},
        {"total_exec_time", "mean_exec_time", "total_time"},
    ),
    "MySQL's statement digests": ({"count_star"}, {"sum_timer_wait", "avg_timer_wait", "digest_text"}),
    "SQL Server's query statistics": (
        {"execution_count"},
        {"total_worker_time", "total_elapsed_time", "last_elapsed_time"},
    ),
    "SQL Server's query store": ({"count_executions"}, {"avg_duration", "avg_cpu_time"}),
    "Oracle's statement statistics": ({"sql_id", "executions"}, {"elapsed_time", "buffer_gets"}),
    "ClickHouse's or another database's statistics by query": (
        {"query", "calls"},
        {"avg_time", "mean_time", "total_duration", "avg_duration", "avg_ms", "mean_ms", "total_ms"},
    ),
}


def _recognise(sample: Sample) -> Recognition | None:
    names = {column.lower() for column in sample.columns}
    for what, (all_of, one_of) in _MARKS.items():
        if names >= all_of and names & one_of:
            words = (
                f"these are {what}: a row sums up all calls of a statement, so when each came and how long "
                "it took is not in them. A log of statements with their durations is what can be read"
            )
            marks = ", ".join(sorted(all_of | (names & one_of)))
            return Recognition(CERTAIN, f"columns {marks}", Refusal(words))
    return None


RECOGNISERS = (
    Recogniser(
        "database-statistics",
        "Statistics by statement of databases (refused: summaries)",
        _recognise,
        refuses=True,
    ),
)
