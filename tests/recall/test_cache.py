"""The cache tells the truth: lifetimes, invalidation and bounds, layer by layer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.recall.cache import LIFETIMES, AnswerCache
from tests.support.clock import Clock

Cache = AnswerCache[str, str]


def put(cache: Cache, key: str, *layers: str) -> None:
    parts = {layer: f"{layer} on {key}" for layer in layers}
    cache.put(key, layers, cache.stamp(layers), parts, f"whole answer to {key}")


def test_cache_part_lives_as_long_as_its_own_layer_says() -> None:
    clock = Clock(1000.0)
    cache: Cache = AnswerCache(clock=clock)
    layers = ("graph", "episodic")
    put(cache, "q", *layers)
    clock.now += LIFETIMES["episodic"] - 0.001
    assert cache.get("q", layers).whole == "whole answer to q"
    clock.now += 0.001
    assert cache.get("q", layers) == ({"graph": "graph on q"}, None)
    clock.now += LIFETIMES["graph"]
    assert cache.get("q", layers) == ({}, None)
    assert len(cache) == 0


def test_cache_lifetime_is_what_a_layer_names_or_the_default() -> None:
    clock = Clock(1000.0)
    cache: Cache = AnswerCache(clock=clock)
    cache.set_lifetime("tickets", 5.0)
    put(cache, "q", "tickets")
    put(cache, "r", "unheard of")
    clock.now += 5.0
    assert not cache.get("q", ("tickets",)).parts
    assert cache.get("r", ("unheard of",)).whole


def test_cache_lifetime_of_zero_keeps_nothing_of_that_layer() -> None:
    cache: Cache = AnswerCache()
    cache.set_lifetime("live", 0)
    put(cache, "q", "live")
    assert len(cache) == 0
    put(cache, "q", "live", "graph")
    assert cache.get("q", ("live", "graph")) == ({"graph": "graph on q"}, None)
    assert (cache.keeps("live"), cache.keeps("graph")) == (False, True)


def test_cache_part_ends_with_a_write_to_its_layer_and_no_other() -> None:
    cache: Cache = AnswerCache()
    put(cache, "q", "episodic", "semantic")
    cache.written(["semantic"])
    assert cache.get("q", ("episodic", "semantic")) == ({"episodic": "episodic on q"}, None)


def test_cache_part_begun_before_a_write_is_not_kept() -> None:
    cache: Cache = AnswerCache()
    layers = ("semantic", "graph")
    stamp = cache.stamp(layers)
    cache.written(["semantic"])
    cache.put("q", layers, stamp, {"semantic": "old", "graph": "good"}, "old and good")
    assert cache.get("q", layers) == ({"graph": "good"}, None)


def test_cache_whole_answer_is_only_for_the_very_parts_and_layers_that_it_was_made_of() -> None:
    cache: Cache = AnswerCache()
    put(cache, "q", "graph", "semantic")
    assert cache.get("q", ("graph", "semantic")).whole
    assert cache.get("q", ("semantic", "graph")).whole is None
    assert cache.get("q", ("graph",)) == ({"graph": "graph on q"}, None)
    cache.put("q", ("graph",), cache.stamp(["graph"]), {"graph": "newer"})
    assert cache.get("q", ("graph", "semantic")) == ({"graph": "newer", "semantic": "semantic on q"}, None)


def test_cache_part_that_is_put_again_does_not_live_longer() -> None:
    clock = Clock(1000.0)
    cache: Cache = AnswerCache(clock=clock)
    put(cache, "q", "graph")
    clock.now += LIFETIMES["graph"] - 1
    part = cache.get("q", ("graph", "semantic")).parts["graph"]
    cache.put(
        "q", ["graph", "semantic"], cache.stamp(["graph", "semantic"]), {"graph": part, "semantic": "s"}
    )
    clock.now += 1
    assert cache.get("q", ("graph", "semantic")).parts == {"semantic": "s"}


def test_cache_drops_the_least_recently_used_query() -> None:
    cache: Cache = AnswerCache(max_entries=2)
    put(cache, "a", "graph")
    put(cache, "b", "graph")
    assert cache.get("a", ("graph",)).whole
    put(cache, "c", "graph")
    assert [bool(cache.get(key, ("graph",)).whole) for key in "abc"] == [True, False, True]


def test_cache_gives_a_stale_part_only_where_its_layer_allows_it_and_was_not_written_to() -> None:
    clock = Clock(1000.0)
    cache: Cache = AnswerCache(clock=clock)
    cache.set_lifetime("tickets", 10.0, stale_seconds=100.0)
    put(cache, "q", "tickets", "graph")
    clock.now += 60.0
    assert cache.get("q", ("tickets",)).parts == {}
    assert cache.stale("q", "tickets") == ("tickets on q", 60.0)
    clock.now += 1000.0
    assert cache.stale("q", "graph") is None
    assert cache.stale("q", "tickets") is None
    put(cache, "q", "tickets")
    clock.now += 20.0
    assert cache.stale("q", "tickets") is not None
    cache.written(["tickets"])
    assert cache.stale("q", "tickets") is None


ACTIONS = st.one_of(
    st.tuples(st.just("put"), st.sampled_from("pqr"), st.sets(st.sampled_from("xyz"), min_size=1)),
    st.tuples(st.just("write"), st.sampled_from("xyz"), st.none()),
    st.tuples(st.just("wait"), st.floats(0, 400), st.none()),
)


@given(st.lists(ACTIONS, max_size=40))
def test_cache_hit_is_never_older_than_a_write_or_than_its_lifetime(
    actions: list[tuple[str, object, set[str]]],
) -> None:
    clock = Clock(1000.0)
    cache: Cache = AnswerCache(2, {"x": 50, "y": 100}, clock=clock)
    life = {"x": 50, "y": 100, "z": 300}
    made: dict[tuple[object, str], float] = {}
    written = dict.fromkeys("xyz", -1.0)
    for what, thing, layers in actions:
        if what == "put":
            put(cache, str(thing), *sorted(layers))
            made |= {(thing, layer): clock.now for layer in layers}
        elif what == "write":
            cache.written([str(thing)])
            written[str(thing)] = clock.now
        else:
            clock.now += float(thing)  # type: ignore[arg-type]
        clock.now += 0.001
        for key in "pqr":
            parts, whole = cache.get(key, ("x", "y", "z"))
            for layer in parts if whole is None else "xyz":
                assert written[layer] < made[key, layer]
                assert clock.now < made[key, layer] + life[layer]
        assert len(cache) <= 2


def test_cache_losses_are_counted_by_reason() -> None:
    clock = Clock(1000.0)
    cache: Cache = AnswerCache(2, clock=clock)
    assert cache.losses == (0, 0, 0)
    put(cache, "old", "semantic")
    clock.now += LIFETIMES["semantic"]
    put(cache, "changed", "graph")
    cache.written(["graph"])
    for key, layer in (("old", "semantic"), ("changed", "graph"), ("never asked", "graph")):
        assert not cache.get(key, (layer,)).parts
        assert not cache.get(key, (layer,)).parts, "gone by now: an ordinary miss"
    for key in "abc":
        put(cache, key, "graph")
    assert (cache.losses.expired, cache.losses.written, cache.losses.displaced) == (1, 1, 1)
