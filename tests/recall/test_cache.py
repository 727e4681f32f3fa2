"""The cache tells the truth: lifetimes, invalidation, bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.recall.cache import LIFETIMES, AnswerCache
from tests.support.clock import Clock


def put(cache: AnswerCache[str], key: str, *layers: str) -> None:
    cache.put(key, f"answer to {key}", layers, cache.stamp(layers))


def test_an_answer_lives_as_long_as_its_shortest_lived_layer() -> None:
    clock = Clock(1000.0)
    cache: AnswerCache[str] = AnswerCache(clock=clock)
    put(cache, "q", "graph", "episodic")
    clock.now += LIFETIMES["episodic"] - 0.001
    assert cache.get("q") == "answer to q"
    clock.now += 0.001
    assert cache.get("q") is None
    assert len(cache) == 0


def test_a_layer_of_ones_own_has_the_lifetime_it_names() -> None:
    clock = Clock(1000.0)
    cache: AnswerCache[str] = AnswerCache(clock=clock)
    cache.set_lifetime("tickets", 5.0)
    put(cache, "q", "tickets")
    put(cache, "r", "unheard of")
    clock.now += 5.0
    assert (cache.get("q"), cache.get("r")) == (None, "answer to r")


def test_a_lifetime_of_zero_keeps_nothing() -> None:
    cache: AnswerCache[str] = AnswerCache()
    cache.set_lifetime("live", 0)
    put(cache, "q", "live")
    assert len(cache) == 0


def test_a_write_ends_the_answers_that_used_the_layer_and_no_others() -> None:
    cache: AnswerCache[str] = AnswerCache()
    put(cache, "q", "episodic", "semantic")
    put(cache, "r", "graph")
    cache.written(["semantic"])
    assert (cache.get("q"), cache.get("r")) == (None, "answer to r")


def test_an_answer_begun_before_a_write_is_not_kept() -> None:
    cache: AnswerCache[str] = AnswerCache()
    stamp = cache.stamp(("semantic",))
    cache.written(["semantic"])
    cache.put("q", "old", ("semantic",), stamp)
    assert cache.get("q") is None


def test_the_least_recently_used_goes_first() -> None:
    cache: AnswerCache[str] = AnswerCache(max_entries=2)
    put(cache, "a", "graph")
    put(cache, "b", "graph")
    assert cache.get("a")
    put(cache, "c", "graph")
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == ("answer to a", None, "answer to c")


ACTIONS = st.one_of(
    st.tuples(st.just("put"), st.sampled_from("pqr"), st.sets(st.sampled_from("xyz"), min_size=1)),
    st.tuples(st.just("write"), st.sampled_from("xyz"), st.none()),
    st.tuples(st.just("wait"), st.floats(0, 400), st.none()),
)


@given(st.lists(ACTIONS, max_size=40))
def test_a_hit_is_never_older_than_a_write_or_than_its_lifetime(
    actions: list[tuple[str, object, set[str]]],
) -> None:
    clock = Clock(1000.0)
    cache: AnswerCache[str] = AnswerCache(2, {"x": 50, "y": 100}, clock=clock)
    life = {"x": 50, "y": 100, "z": 300}
    made: dict[object, tuple[float, set[str]]] = {}
    written = dict.fromkeys("xyz", -1.0)
    for what, thing, layers in actions:
        if what == "put":
            put(cache, str(thing), *sorted(layers))
            made[thing] = (clock.now, layers)
        elif what == "write":
            cache.written([str(thing)])
            written[str(thing)] = clock.now
        else:
            clock.now += float(thing)  # type: ignore[arg-type]
        clock.now += 0.001
        for key, (at, used) in made.items():
            if cache.get(str(key)) is not None:
                assert all(written[layer] < at for layer in used)
                assert clock.now < at + min(life[layer] for layer in used)
        assert len(cache) <= 2


def test_what_ended_answers_cost_is_counted_by_reason() -> None:
    clock = Clock(1000.0)
    cache: AnswerCache[str] = AnswerCache(2, clock=clock)
    assert cache.losses == (0, 0, 0)
    put(cache, "old", "semantic")
    clock.now += LIFETIMES["semantic"]
    put(cache, "changed", "graph")
    cache.written(["graph"])
    for key in ("old", "changed", "never asked"):
        assert cache.get(key) is None
        assert cache.get(key) is None  # gone by now: an ordinary miss
    for key in "abc":
        put(cache, key, "graph")
    assert (cache.losses.expired, cache.losses.written, cache.losses.displaced) == (1, 1, 1)
