"""Records come back from a table as they would from JSON, whether it is read by columns or by rows."""

from __future__ import annotations

import gc

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_tuning.interchange import record_json, record_parquet
from athena_tuning.model import LayerTask, QueryMetrics, TaskOutcome

MS = st.floats(0, 1e9, allow_nan=False)
MAYBE_MS = st.none() | MS
FLAG = st.none() | st.booleans()
NAME = st.text("abc=,é", max_size=4)
TASKS = st.builds(
    LayerTask, NAME, MS, MS, MS, st.integers(0, 99), st.sampled_from(TaskOutcome), st.integers(0, 9)
)
RECORDS = st.builds(
    QueryMetrics,
    NAME,
    NAME,
    NAME,
    st.floats(1, 2e9),
    MAYBE_MS,
    MAYBE_MS,
    FLAG,
    st.none() | st.integers(0, 1000),
    st.lists(NAME, max_size=3),
    st.dictionaries(NAME, MS, max_size=3),
    FLAG,
    st.none() | st.just("graph: gone"),
    st.booleans(),
    st.integers(1, 9),
    st.just(float("nan")) | st.floats(0, 1),
    st.none() | st.floats(0, 1),
    st.lists(TASKS, max_size=3).map(tuple),
    st.booleans(),
    st.integers(0, 9),
    st.sampled_from(["live", "sample", "imported", "simulated"]),
)


def read(table):
    return [found for batch in table.to_batches() for found in record_parquet.from_batch(batch)]


def plain(records):
    return [record_json.to_plain(record) for record in records]


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(RECORDS, max_size=6), st.booleans())
def test_a_table_gives_what_json_gives_by_columns_and_by_rows(records, foreign):
    table = record_parquet.to_table(records)
    if foreign:  # another type of a column: read by rows
        at = table.schema.get_field_index("result_count")
        table = table.set_column(at, "result_count", table.column(at).cast(pa.int32()))
    again = [record_json.from_plain(values) for values in plain(records)]
    assert plain(read(table)) == plain(again)
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("timestamp", None, "timestamp is missing"),
        ("latency_ms", -1.0, "latency_ms must be a number from 0 up"),
        ("latency_ms", float("inf"), "latency_ms must be"),
        ("memory_mb", float("nan"), "memory_mb must be"),
        ("result_count", -3, "result_count must be"),
        ("query_type", None, "query_type must be text"),
    ],
)
def test_a_value_that_does_not_fit_is_told_for_its_row_only(column, value, reason):
    record = QueryMetrics("q", "tea?", "meta", 5.0, 1.0, 1.0, None, 1, ["graph"], {"graph": 1.0}, True)
    table = record_parquet.to_table([record, record])
    at = table.schema.get_field_index(column)
    cells = [table.column(at)[0].as_py(), value]
    bad, good = read(table.set_column(at, column, pa.array(cells, table.schema.field(at).type)))[::-1]
    assert reason in str(bad)
    assert plain([good]) == plain([record._replace(source="imported")])
