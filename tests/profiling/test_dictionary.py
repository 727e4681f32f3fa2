"""Values to numbers and back: as many numbers as values in use, and nothing kept that nobody uses."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.profiling.columns.dictionary import Dictionary

words = st.lists(st.sampled_from(["", "a", "b", "c", "über", "d" * 50]), min_size=1, max_size=8)


def entered(dictionary, values):
    return dictionary.enter(values, dictionary.look_up(values))


@given(steps=st.lists(words, max_size=12), keep=st.integers(1, 3))
def test_it_holds_exactly_what_the_last_steps_use(steps, keep):
    dictionary, held = Dictionary[str](), []
    for values in steps:
        ids = entered(dictionary, values)
        assert [dictionary[number] for number in ids.tolist()] == values
        dictionary.count_in(ids)
        held.append(ids)
        if len(held) > keep:
            dictionary.forget(dictionary.count_out(held.pop(0)))
        used = Counter(dictionary[number] for ids in held for number in ids.tolist())
        assert set(dictionary.used()) == {value for _, value in dictionary.items()} == set(used)
        assert len(dictionary) <= len(used) + 8, "free numbers are used again"


def test_a_value_that_is_used_again_before_it_is_forgotten_stays():
    dictionary = Dictionary[str]()
    ids = entered(dictionary, ["a"])
    dictionary.count_in(ids)
    unused = dictionary.count_out(ids)
    assert unused == ids.tolist()
    dictionary.count_in(entered(dictionary, ["a"]))
    dictionary.forget(unused)
    assert dictionary.used() == ["a"]


def test_one_by_one_counts_as_many_at_once_do():
    dictionary = Dictionary[str]()
    number = dictionary.id_of("a")
    assert not dictionary.count_one(number, 1)
    dictionary.count_in(np.array([number]))
    assert not dictionary.count_one(number, -1)
    assert dictionary.count_one(number, -1), "nothing uses it any more"


def test_the_edition_tells_when_a_number_changes_its_value():
    dictionary = Dictionary[str]()
    before = dictionary.edition
    number = dictionary.id_of("a")
    after = dictionary.edition
    assert after > before
    dictionary.id_of("a")
    assert dictionary.edition == after
    dictionary.forget([number])
    assert dictionary.edition > after
    assert dictionary.id_of("b") == number
