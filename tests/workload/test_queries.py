"""Queries of every type that fit the sample memory."""

from __future__ import annotations

import pytest

from athena_tuning.model import QUERY_TYPES
from athena_tuning.recall.classification import classify
from athena_tuning.workload.queries import EACH, sample_queries


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
