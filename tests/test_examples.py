"""Every example runs and says what it is there to show."""

from pathlib import Path

import pytest

from tests.support.example_programs import run_example

ROOT = Path(__file__).parents[1]

SAID = {
    "agent_memory": "['The staging database is postgres-ledger']",
    "measure_requests": "billing: facts, steps, 2 results",
    "measure_queries": "60 queries, semantic p99",
    "measure_async": "2 layers at once",
    "measure_decorated": "asked together: {'procedural': {'semantic': 1.0}, 'semantic': {'procedural': 1.0}}",
    "obey_configs": "now 8, under config version 1",
    "opentelemetry_spans": "billing: keywords, rerank",
    "ask_over_mcp": "['The lamp burns whale oil']\nrefused: Error executing tool recall: k must be a whole",
    "serve_metrics": 'athena_tuning_recalls_total{outcome="success",type="factual"} 3.0',
    "adopt_a_manager": "temporal: episodic, semantic\nnow latency",
    "advise_layers": "leave out: drafts",
    "export_spans": "answer > recall > semantic: Ana owns billing.",
}

ELSEWHERE = {
    "ask_over_http": "tests/http",
    "haystack_recalls": "tests/bridges",
    "langchain_recalls": "tests/bridges",
    "langgraph_memory": "tests/bridges",
    "llama_index_recalls": "tests/bridges",
}  # a server is needed, or other packages


def test_every_example_is_tried() -> None:
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} == {*SAID, *ELSEWHERE}


@pytest.mark.parametrize("name", SAID)
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    done = run_example(name, tmp_path)
    assert done.returncode == 0, done.stderr
    assert SAID[name] in done.stdout
    assert done.stderr == ""
