"""Every member of every format in JSON, missing or of another kind, is read or told, and nothing else."""

from __future__ import annotations

import copy
import json

import pytest

from athena_tuning.interchange import Import
from athena_tuning.testing.made_requests import made_requests
from athena_tuning.testing.made_tables import made_tables
from athena_tuning.testing.made_traces import made_traces

REQUESTS = made_requests(12)
FILES = [
    file
    for made in (made_tables, made_traces)  # each document on a line
    for file in made(REQUESTS)
    if file.truth is not None and file.name.endswith((".json", ".jsonl")) and file.name != "console.json"
]
MISSING = object()
ODD = (MISSING, None, [1], {"a": {"b": 1}}, "x", -1, True, 1e300)


def documents_in(file):
    return [json.loads(line) for line in file.content.splitlines()]


def written(documents):
    return "".join(f"{json.dumps(document)}\n" for document in documents)


def members(value, path=(), depth=9):
    """Give the ways to the members of objects, in lists of the second item, which is like the others."""
    if depth == 0:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (*path, name)
            yield from members(inner, (*path, name), depth - 1)
    elif isinstance(value, list) and value:
        place = min(1, len(value) - 1)
        yield from members(value[place], (*path, place), depth - 1)


def with_odd(documents, path, odd):
    changed = copy.deepcopy(documents)
    *above, name = path
    place = changed
    for step in above:
        place = place[step]
    if odd is MISSING:
        del place[name]
    else:
        place[name] = odd
    return changed


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_member_that_is_missing_or_odd_is_read_or_told(tmp_path, caplog, file):
    documents = documents_in(file)
    path = tmp_path / file.name
    tried = refused = 0
    for way in members(documents):
        for odd in ODD:
            path.write_text(written(with_odd(documents, way, odd)))
            tried += 1
            try:
                records = list(Import(path).records())
            except ValueError:
                refused += 1
            else:
                assert all(m.latency_ms is None or m.latency_ms >= 0 for m in records), (way, odd)
    assert not caplog.records  # a recogniser that fails is logged
    assert tried >= 40
    assert refused < tried / 2, (refused, tried)
