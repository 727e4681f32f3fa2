"""Formats are told by their marks over several rows, can be named, and can come from other packages."""

from __future__ import annotations

import sys

import pytest

from athena_tuning.interchange import Import, registry
from athena_tuning.interchange.recognition import Recogniser
from athena_tuning.interchange.registry import Registry, recognise
from athena_tuning.interchange.row_source import sample_of
from athena_tuning.plugins import plugins
from athena_tuning.testing.formats import made_files

PLUGIN = """
from athena_tuning.interchange import Recogniser

TWICE = Recogniser("jmeter", "A name that is taken", lambda sample: None)
WRONG = "no recogniser"
"""
POINTS = """[athena_tuning.formats]
twice = broken_plugin:TWICE
wrong = broken_plugin:WRONG
gone = broken_plugin:GONE
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A package with entry points, as pip installs it."""
    info = tmp_path / "broken_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    (tmp_path / "broken_plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    for cached in (plugins, registry):
        cached.cache_clear()
    yield
    for cached in (plugins, registry):
        cached.cache_clear()
    sys.modules.pop("broken_plugin", None)


def test_every_format_has_a_name_a_title_and_a_file_in_the_suite():
    known = registry()
    names = [recogniser.name for recogniser in known.recognisers]
    assert len(set(names)) == len(names)
    assert known.troubles == ()
    assert {file.format for file in made_files()} == set(names) - {"athena"}


@pytest.mark.usefixtures("plugin")
def test_a_format_of_another_package_that_is_broken_is_told_of_and_left_out():
    known = registry()
    assert known.named("jmeter").title.startswith("JMeter")
    assert len(known.troubles) == 3
    for part in ("takes the name 'jmeter'", "is no Recogniser but str", "could not be loaded"):
        assert any(part in trouble for trouble in known.troubles), part


def test_a_recogniser_that_fails_is_passed_over(tmp_path):
    def fails(_):
        raise RuntimeError("a bug")

    path = tmp_path / "log.csv"
    path.write_text("ts,latency_ms\n1790000000,5\n")
    known = Registry((Recogniser("broken", "Broken", fails), *registry().recognisers))
    assert Import(path, formats=known).format == "columns"
    with pytest.raises(ValueError, match="it has not the marks of Broken"):
        recognise(sample_of(path), "broken", known)


def test_a_format_that_is_named_must_fit_and_be_known(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("ts,latency_ms\n1790000000,5\n")
    assert Import(path, format="columns").format == "columns"
    with pytest.raises(ValueError, match=r"has not the marks of JMeter results .*: its columns are 'ts'"):
        Import(path, format="jmeter")
    with pytest.raises(ValueError, match="there is no format 'jmetre'; there are athena, otlp, "):
        Import(path, format="jmetre")


def test_a_result_of_a_load_test_can_be_read_as_any_table(tmp_path):
    file = next(file for file in made_files() if file.name == "run.jtl")
    path = tmp_path / file.name
    path.write_bytes(file.content)
    assert Import(path).format == "jmeter"
    assert Import(path, format="columns").mapping.latency == "Latency"


@pytest.mark.parametrize("name", ["otlp.json", "phoenix.csv", "spans-ns.csv"])
def test_a_file_of_spans_takes_a_choice_of_spans_and_no_mapping_or_columns(tmp_path, name):
    file = next(file for file in made_files() if file.name == name)
    path = tmp_path / name
    path.write_bytes(file.content)
    opened = Import(path)
    layer = next(opened.records()).layers_queried[0]
    assert layer in {n.removesuffix(".retrieve") for n in opened.span_names}
    chosen = Import(path, recall_span=layer)
    assert {m.query_type for m in chosen.records()} == {layer}
    nothing = Import(path, recall_span="nothing")
    assert list(nothing.records()) == []
    assert nothing.report.passed == file.truth.count


def test_a_table_of_requests_has_no_spans_to_choose_from(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("ts,latency_ms\n1790000000,5\n")
    with pytest.raises(ValueError, match="of the format columns, which has no spans to choose from"):
        Import(path, recall_span="ask")


def test_a_layer_attribute_can_be_a_column_of_a_table_of_spans(tmp_path):
    path = tmp_path / "spans.csv"
    rows = [
        "t,1,,ask,1790000000000,900,",
        "t,2,1,a,1790000000001,100,memory",
        "t,3,2,b,1790000000002,50,disk",
    ]
    path.write_text("\n".join(["trace_id,span_id,parent_id,name,start_ms,took_ms,store", *rows]) + "\n")
    [record] = Import(path, layer_attribute="store").records()
    assert record.layer_latencies == {"memory": 100.0}
