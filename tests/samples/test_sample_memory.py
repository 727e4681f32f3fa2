"""The sample memory: five layers, one consistent world, the same bytes each time."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter

import pytest

from athena_tuning import locations
from athena_tuning.model import LAYERS
from athena_tuning.recall.items import Item
from athena_tuning.samples.generator.team import SERVICE, SERVICES, TOPICS
from athena_tuning.samples.sample_memory import generate, sample_history, write_items


@pytest.fixture(scope="module")
def items() -> list[Item]:
    return list(generate())


def test_the_same_seed_tells_the_same_and_another_seed_something_else(items):
    assert list(generate()) == items
    assert [item.text for item in generate(7)] != [item.text for item in items]


def test_every_layer_holds_hundreds_of_items_and_no_text_twice(items):
    counts = Counter(item.layer for item in items)
    assert set(counts) == set(LAYERS)
    assert min(counts.values()) >= 300
    assert 3000 <= len(items) <= 6000
    assert len({item.text for item in items}) == len(items)
    assert len({item.id for item in items}) == len(items)


def test_no_phrase_is_left_unfilled(items):
    assert [item.text for item in items if re.search(r"[\[\]{}|]", item.text)] == []


def test_each_incident_is_told_of_in_every_layer(items):
    for incident in sample_history().incidents:
        pattern = re.compile(rf"\b{incident.id}\b")
        assert {item.layer for item in items if pattern.search(item.text)} == set(LAYERS)


def test_notes_about_an_incident_agree_on_its_service(items):
    services = {incident.id: incident.service.name for incident in sample_history().incidents}
    hits = [edge for item in items for edge in item.edges if edge[1] == "affected"]
    assert len(hits) == len(services)
    assert {(incident, service) for incident, _, service in hits} == set(services.items())


def test_evidence_and_scopes_name_what_exists(items):
    ids = {item.id for item in items}
    rests_on = {note for item in items for note in item.evidence}
    assert rests_on
    assert rests_on <= ids
    assert {item.scope for item in items} == {service.project for service in SERVICES}


def test_the_cast_names_only_itself():
    for service in SERVICES:
        assert set(service.needs) <= set(SERVICE)
    for topic in TOPICS:
        assert {topic.publisher, *topic.consumers} <= set(SERVICE)


def test_the_file_is_what_the_generator_writes(items, tmp_path):
    write_items(tmp_path / "a.gz", items)
    write_items(tmp_path / "b.gz", items)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    shipped = gzip.decompress((locations.sample_data() / "memory.jsonl.gz").read_bytes())
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == shipped


def test_the_file_reads_back_as_the_same_items(items):
    lines = gzip.decompress((locations.sample_data() / "memory.jsonl.gz").read_bytes()).splitlines()
    assert [Item.from_dict(json.loads(line)) for line in lines] == items
