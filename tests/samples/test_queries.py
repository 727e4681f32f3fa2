"""Queries of every type that fit the sample memory."""

from __future__ import annotations

import pytest

from athena_tuning.model import QUERY_TYPES
from athena_tuning.recall import MemoryManager
from athena_tuning.recall.classification import classify
from athena_tuning.samples.queries import EACH, sample_queries
from athena_tuning.samples.sample_memory import generate

HOME = {
    "temporal": "episodic",
    "relational": "graph",
    "procedural": "procedural",
    "prospective": "prospective",
}


def test_each_type_has_its_queries_and_they_classify_as_it():
    queries = sample_queries()
    assert tuple(queries) == QUERY_TYPES
    for query_type, asked in queries.items():
        assert len({query.text for query in asked}) == EACH
        assert {classify(query.text) for query in asked} == {query_type}


def test_the_same_seed_asks_the_same():
    assert sample_queries(3, each=10) == sample_queries(3, each=10)
    assert sample_queries(3, each=10) != sample_queries(4, each=10)


def test_more_queries_than_the_memory_gives_rise_to_are_refused():
    with pytest.raises(ValueError, match="gives rise to"):
        sample_queries(each=400)


@pytest.fixture(scope="module")
def memory():
    with MemoryManager(":memory:") as manager:
        manager.remember_many(generate())
        yield manager


@pytest.mark.parametrize("query_type", QUERY_TYPES)
def test_queries_of_each_type_find_something_where_it_belongs(memory, query_type):
    asked = sample_queries()[query_type][:40]
    answers = [memory.recall(query.text) for query in asked]
    assert {answer["_query_type"] for answer in answers} == {query_type}
    assert all(answer["_fused"] for answer in answers)
    found_at_home = sum(bool(answer[HOME.get(query_type, "semantic")]) for answer in answers)
    assert found_at_home >= 0.95 * len(asked)
