"""The bounded cache, and that one caller computes for all who ask at the same time."""

from __future__ import annotations

import threading
from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.lru_cache import LruCache
from tests.support.waiting import until

WAIT = 30.0


@given(st.lists(st.tuples(st.sampled_from("gp"), st.integers(0, 6)), max_size=60), st.integers(1, 4))
def test_lru_cache_keeps_the_last_used_keys(calls: list[tuple[str, int]], size: int) -> None:
    evicted: list[int] = []
    cache: LruCache[int, int] = LruCache(size, on_evict=evicted.append)
    model: OrderedDict[int, int] = OrderedDict()
    expected: list[int] = []
    for call, key in calls:
        if call == "p":
            cache.put(key, key)
            model[key] = key
            model.move_to_end(key)
            while len(model) > size:
                expected.append(model.popitem(last=False)[1])
        else:
            assert cache.get(key) == model.get(key)
            if key in model:
                model.move_to_end(key)
    assert cache.values() == list(model.values())
    assert evicted == expected
    assert cache.evictions == len(expected)


def test_lru_cache_computes_once_for_8_threads_that_ask_at_the_same_time() -> None:
    cache: LruCache[str, list[int]] = LruCache(4)
    computed, go, results = [0], threading.Event(), []

    def compute() -> list[int]:
        computed[0] += 1
        assert go.wait(WAIT)
        return [1]

    threads = [
        threading.Thread(target=lambda: results.append(cache.get_or_compute("q", compute))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    until(lambda: computed[0] == 1)
    go.set()
    for thread in threads:
        thread.join(WAIT)
    assert computed[0] == 1
    assert len(results) == 8
    assert all(result is results[0] for result in results)


def test_lru_cache_shares_a_computed_none() -> None:
    cache: LruCache[str, int | None] = LruCache(4)
    computed: list[int] = []
    for _ in range(3):
        assert cache.get_or_compute("q", lambda: computed.append(1)) is None
    assert computed == [1]


def test_lru_cache_after_a_failed_computation_lets_the_next_caller_compute() -> None:
    cache: LruCache[str, int] = LruCache(4)
    begun, go, results = threading.Event(), threading.Event(), []

    def fail() -> int:
        begun.set()
        assert go.wait(WAIT)
        raise LookupError("no data")

    def first() -> None:
        with pytest.raises(LookupError):
            cache.get_or_compute("q", fail)

    failing = threading.Thread(target=first)
    failing.start()
    assert begun.wait(WAIT)
    waiting = threading.Thread(target=lambda: results.append(cache.get_or_compute("q", lambda: 7)))
    waiting.start()
    go.set()
    failing.join(WAIT)
    waiting.join(WAIT)
    assert results == [7]


def test_lru_cache_computation_that_asks_for_its_own_key_does_not_wait_for_itself() -> None:
    cache: LruCache[str, int] = LruCache(4)
    assert cache.get_or_compute("q", lambda: 1 + cache.get_or_compute("q", lambda: 1)) == 2


def test_lru_cache_pop_and_clear_return_what_was_kept() -> None:
    cache: LruCache[str, int] = LruCache(4)
    cache.put("a", 1)
    cache.put("b", 2)
    assert (cache.pop("a"), cache.pop("a"), cache.clear(), len(cache)) == (1, None, [2], 0)
