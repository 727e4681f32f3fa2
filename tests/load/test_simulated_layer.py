"""A remote layer waits, keeps its deadline, fails as often as it should, and really searches."""

from __future__ import annotations

from random import Random

import pytest

from athena_tuning.load.simulated_layer import RemoteLayer
from athena_tuning.recall.items import LayerQuery


class Notes:
    name = "notes"

    def search(self, query, k, deadline):
        return [{"id": "n1", "text": str(query)}][:k]


def remote(median=20.0, spread=0.5, failures=0.0, waits=None):
    slept = waits if waits is not None else []
    return RemoteLayer(
        Notes(), median, spread, failures, rng=Random(1), monotonic=lambda: 0.0, sleep=slept.append
    )


def test_it_has_the_name_and_the_answers_of_what_it_wraps():
    layer = remote()
    assert layer.name == "notes"
    assert layer.search(LayerQuery("tea"), 3, 10.0) == [{"id": "n1", "text": "tea"}]


def test_half_of_the_waits_are_shorter_than_the_median():
    waits = []
    layer = remote(waits=waits)
    for _ in range(2000):
        layer.search(LayerQuery("tea"), 1, 1e9)
    assert sorted(waits)[1000] == pytest.approx(0.020, rel=0.1)
    assert sorted(waits)[1980] == pytest.approx(0.020 * 3.2, rel=0.25)


def test_a_wait_beyond_the_deadline_ends_there():
    waits = []
    with pytest.raises(TimeoutError, match="notes"):
        remote(median=5000.0, spread=0.0, waits=waits).search(LayerQuery("tea"), 1, 2.0)
    assert waits == [2.0]


def test_it_fails_as_often_as_it_should():
    layer, failed = remote(failures=0.1), 0
    for _ in range(2000):
        try:
            layer.search(LayerQuery("tea"), 1, 1e9)
        except ConnectionError:
            failed += 1
    assert failed / 2000 == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize("figures", [(0.0, 0.5, 0.0), (20.0, -1.0, 0.0), (20.0, 0.5, 1.5)])
def test_a_network_that_makes_no_sense_is_refused(figures):
    with pytest.raises(ValueError, match="no network waits"):
        remote(*figures)
