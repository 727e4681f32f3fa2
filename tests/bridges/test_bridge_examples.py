"""The examples that need other packages run and say what they are there to show."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.example_programs import run_example

ROOT = Path(__file__).parents[2]
SAID = {
    "haystack_recalls": (
        "haystack",
        "The billing deploy failed on Friday.",
        "why did the billing deploy fail? memory, papers, 2 layers",
    ),
    "langgraph_memory": (
        "langgraph.graph",
        "['I drink green tea in the morning']",
        "Which tea do I drink? semantic: 1 result",
    ),
    "llama_index_recalls": (
        "llama_index.core",
        "episodic: The billing deploy failed on Friday.",
        "why did the deploy fail? ManagerRetriever, SummaryIndexRetriever: ",
    ),
    "langchain_recalls": (
        "langchain_core",
        "papers: Billing needs two approvals.",
        "ManagerRetriever, Papers",
    ),
}


@pytest.mark.parametrize("name", SAID)
def test_an_example_runs(name, tmp_path):
    package, *said = SAID[name]
    pytest.importorskip(package)
    done = run_example(name, tmp_path)
    assert done.returncode == 0, done.stderr
    assert [words for words in said if words not in done.stdout] == [], done.stdout
