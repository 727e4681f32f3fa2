"""Files that operators really have."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from athena_tuning.interchange import Import

DATA = Path(__file__).parents[2].parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the real files of ../shared/data are not here")


def read(name, **options):
    opened = Import(DATA / name, **options)
    records = list(opened.records())
    assert opened.report.bad == 0, opened.report.problems[:3]
    assert all(m.source == "imported" and math.isnan(m.accuracy_score) for m in records)
    return opened, records


def by_id(records):
    return {m.query_id: m for m in records}


def test_the_same_traces_are_the_same_queries_in_three_formats():
    otlp, jaeger, table = (
        by_id(read(f"formats/{name}")[1])
        for name in (
            "otlp_onlineboutique.json.gz",
            "jaeger_onlineboutique.json.gz",
            "spans_onlineboutique.csv.gz",
        )
    )
    assert len(otlp) == 60
    assert otlp.keys() == jaeger.keys() == table.keys()
    for query_id, m in otlp.items():
        for other in (jaeger[query_id], table[query_id]):
            assert other.layers_queried == m.layers_queried
            assert other.latency_ms == pytest.approx(m.latency_ms, abs=0.002)
            assert other.timestamp == pytest.approx(m.timestamp, abs=1e-5)
            assert other.layer_latencies == pytest.approx(m.layer_latencies, abs=0.02)
            assert (
                (other.success, other.query_type)
                == (m.success, m.query_type)
                == (None, "hipstershop.Frontend/Recv.")
            )


def test_their_layers_run_one_after_the_other():
    _, records = read("formats/otlp_onlineboutique.json.gz")
    busy = [m for m in records if len(m.layers_queried) > 3]
    assert len(busy) > 10
    assert sum(m.parallel_execution for m in busy) == 0


def test_tempo_is_otlp_with_ids_in_base64():
    opened, [m] = read("formats/tempo_otlp_bookinfo.json.gz")
    assert opened.format == "otlp"
    assert (m.query_id, m.latency_ms, m.success) == ("3ba55609c3cde49649cd77d1f9dcd936", 11.932, True)
    assert list(m.layer_latencies.values()) == [11.439]


def test_zipkin_spans_without_a_duration_stay_unknown():
    opened, records = read("formats/zipkin_smartthings_oauth.json.gz")
    assert opened.format == "zipkin"
    assert records
    assert all(0 not in m.layer_latencies.values() for m in records)
    assert any(set(m.layers_queried) - m.layer_latencies.keys() for m in records)


def test_a_function_log_with_end_and_duration_counts_from_its_own_beginning():
    opened, records = read("formats/azure_functions_2021_sample.csv")
    assert (opened.mapping.end, opened.mapping.latency, opened.mapping.latency_unit) == (
        "end_timestamp",
        "duration",
        "s",
    )
    assert len(records) == 199
    assert records[0].latency_ms == 78.0
    assert 0 < records[0].timestamp < 1


def test_arrivals_without_latency_stay_without():
    _, records = read("traces/azure_llm_2023.parquet")
    assert len(records) == 28_185
    assert {(m.latency_ms, m.success, m.cache_hit, m.result_count) for m in records} == {(None,) * 4}
    assert {m.query_type for m in records} == {"conv", "code"}


@pytest.mark.slow
def test_requests_with_times_by_layer():
    opened, records = read("traces/nezha_onlineboutique.parquet")
    assert opened.mapping.layers == "layers"
    assert len(records) == 47_084
    assert {m.success for m in records} == {None}
    assert records[0].layer_latencies["currency"] == 263.449


def test_sessions_with_success():
    _, records = read("traces/pgbouncer_sessions.parquet")
    assert len(records) == 49_487
    assert {m.success for m in records} <= {True, False}


def test_summaries_are_told_to_be_summaries():
    for name in ("pgbouncer_stats.csv", "servegen_rates.csv"):
        opened, _ = read(f"traces/{name}")
        assert any("summaries" in note for note in opened.notes)
