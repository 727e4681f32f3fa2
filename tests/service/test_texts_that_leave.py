"""One rule for what of a query's text leaves the process: a marked text is sent through every door."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from athena_tuning.cli import main
from athena_tuning.integrations.prometheus import ManagerCollector
from athena_tuning.integrations.span_export import SpanExport
from athena_tuning.recall import MemoryManager
from athena_tuning.service import downloads, window_reads
from athena_tuning.service.store_follower import Tail
from athena_tuning.service.view import View
from athena_tuning.store import StoreError, TextPolicy, open_store

MARK = "zebrafish"
QUERY = f"does anybody know {MARK}?"


class Leaky:
    """A layer whose errors quote what was asked, as HTTP clients do."""

    name = "leaky"

    def search(self, query, k, deadline):
        raise OSError(f"404 for url: http://leaky.test/search?q={query}")


class Careless(Leaky):
    """The same with an error that begins with what was asked."""

    name = "careless"

    def search(self, query, k, deadline):
        raise LookupError(f"{query} is not known")


@pytest.fixture
def leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    """Send a marked question through all doors under a policy; return what came out of each."""

    def through_all_doors(policy: str) -> dict[str, str]:
        monkeypatch.setenv("ATHENA_TUNING_TEXTS", policy)
        monkeypatch.setenv("ATHENA_TUNING_HOME", str(tmp_path))
        url = f"sqlite:///{tmp_path / policy}.db"
        monkeypatch.setenv("ATHENA_TUNING_STORE", url)
        doors: dict[str, str] = {}
        with caplog.at_level(logging.INFO), open_store(url) as store:
            with MemoryManager(":memory:", layers=[Leaky(), Careless()], store=store) as manager:
                for _ in range(3):
                    manager.recall(QUERY, use_cache=False)
                spans = InMemorySpanExporter()
                SpanExport(manager.profiler, spans, "w", texts=policy == "keep").close()
                doors["spans"] = "".join(span.to_json() for span in spans.get_finished_spans())

                registry = CollectorRegistry()
                registry.register(ManagerCollector(manager))
                doors["prometheus"] = generate_latest(registry).decode()
            follower = Tail(store)
            follower.look()
            view = View(0.0, 4e9)
            doors["pages"] = repr(
                [
                    follower.profiler.get_trending_queries(24),
                    window_reads.slowest(follower.profiler, view, 10),
                ]
            )
            doors["figures file"] = downloads.figures_file(follower.profiler, view).decode()
        exported = tmp_path / f"{policy}.jsonl"
        ran = CliRunner().invoke(main, ["metrics", "export", str(exported)])
        assert ran.exit_code == 0, ran.output
        doors["export"] = exported.read_text()
        doors["status"] = CliRunner().invoke(main, ["status", "--json"]).output
        doors["store"] = "".join(
            file.read_bytes().decode("latin-1") for file in tmp_path.glob(f"{policy}.db*")
        )
        doors["logs"] = caplog.text
        return doors

    return through_all_doors


Leave = Callable[[str], dict[str, str]]


@pytest.mark.parametrize("policy", ["hash", "drop"])
def test_a_marked_text_leaves_by_no_door(leave: Leave, policy: str) -> None:
    doors = leave(policy)
    assert [name for name, what in doors.items() if MARK in what] == []
    assert json.loads(doors["export"].splitlines()[0])["query_type"] == "factual"


def test_a_marked_text_is_where_it_is_looked_for_when_texts_are_kept(leave: Leave) -> None:
    doors = leave("keep")
    assert {name for name, what in doors.items() if MARK in what} >= {"spans", "pages", "export", "store"}
    assert MARK not in doors["prometheus"]


def test_a_policy_that_does_not_exist_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATHENA_TUNING_TEXTS", "some")
    with pytest.raises(StoreError, match="ATHENA_TUNING_TEXTS is 'some': say keep, hash, drop"):
        open_store("memory://")


def test_what_a_program_says_counts_more_than_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATHENA_TUNING_TEXTS", "drop")
    with open_store("memory://", text=TextPolicy.KEEP) as store:
        with MemoryManager(":memory:", store=store) as manager:
            manager.recall(QUERY)
        assert store.tail_metrics().records[0].query_text == QUERY


def test_a_manager_refuses_to_send_texts_that_may_not_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATHENA_TUNING_TEXTS", "hash")
    ran = CliRunner().invoke(main, ["manager", "--otlp", "http://127.0.0.1:1", "--otlp-texts"])
    assert ran.exit_code == 2
    assert "ATHENA_TUNING_TEXTS is hash" in ran.output
