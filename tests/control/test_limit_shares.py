"""How a limit is shared out: by demand, with a floor, lent while it is idle, and given back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from athena_tuning.control.limit_shares import (
    FLOOR,
    LEASE_SECONDS,
    Demand,
    DemandMeter,
    ShareKeeper,
    Shares,
    shared_out,
)


def demand(wanted: float, busy: float | None = None, *, beat: int = 0) -> Demand:
    held = wanted if busy is None else busy
    return Demand(wanted, held, max(FLOOR, round(held)), beat)


DEMANDS = st.dictionaries(
    st.sampled_from("abcdefgh"),
    st.builds(
        lambda busy, waiting, known: Demand(busy + waiting if known else None, busy, max(1, round(busy))),
        st.floats(0, 20),
        st.floats(0, 50),
        st.booleans(),
    ),
    min_size=1,
)


@given(st.integers(1, 64), DEMANDS, st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 64)))
def test_a_share_is_between_the_floor_and_the_budget(
    budget: int, demands: dict[str, Demand], before: dict[str, int]
) -> None:
    shares = shared_out(budget, demands, before)
    assert shares.keys() == demands.keys()
    assert all(FLOOR <= share <= budget for share in shares.values())


@given(
    st.integers(1, 64),
    st.dictionaries(st.sampled_from("abcdefgh"), st.floats(64, 500), min_size=1),
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 64)),
)
def test_shares_add_up_to_the_budget_while_all_have_more_than_enough_to_do(
    budget: int, wanted: dict[str, float], before: dict[str, int]
) -> None:
    """Where workers are more than slots, each has one."""
    demands = {name: demand(w, max(1.0, budget / len(wanted))) for name, w in wanted.items()}
    given_out = sum(shared_out(budget, demands, before).values())
    assert given_out <= max(budget, len(wanted))
    assert given_out >= budget - len(wanted)


@given(st.integers(1, 64), DEMANDS)
def test_shares_that_were_shared_out_stay_while_demand_stays(budget: int, demands: dict[str, Demand]) -> None:
    shares = shared_out(budget, demands, {})
    assert shared_out(budget, demands, shares) == shares


def test_who_wants_little_has_it_and_the_others_have_the_same() -> None:
    at = {"a": demand(60.0, 4.75), "b": demand(40.0, 4.75), "c": demand(2.0), "d": demand(0.5)}
    assert shared_out(12, at, {}) == {"a": 5, "b": 5, "c": 2, "d": 1}


def test_idle_slots_are_lent_to_all_at_once_and_no_longer_once_they_are_used() -> None:
    quiet = {name: demand(0.5) for name in "abcd"}
    assert set(shared_out(8, quiet, {}).values()) == {6}
    one = quiet | {"a": demand(5.0)}
    assert shared_out(8, one, {}) == {"a": 6, "b": 2, "c": 2, "d": 2}


def test_a_share_that_only_rounding_would_move_stays() -> None:
    at = {"a": demand(3.4), "b": demand(4.4)}
    assert shared_out(8, at, {"a": 4, "b": 5}) == {"a": 4, "b": 5}
    assert shared_out(8, at | {"a": demand(1.4)}, {"a": 4, "b": 5}) == {"a": 4, "b": 7}


def test_with_more_workers_than_slots_each_has_one() -> None:
    at = {str(i): demand(9.0, 1.0) for i in range(5)}
    assert shared_out(3, at, {}) == dict.fromkeys(at, 1)


def test_who_cannot_say_what_it_wants_counts_as_wanting_an_equal_part() -> None:
    unknown = Demand(None, 4.0, 4)
    assert shared_out(8, {"a": unknown, "b": unknown}, {}) == {"a": 4, "b": 4}


def test_who_is_not_heard_of_for_the_lease_gives_its_share_back_and_who_ends_at_once() -> None:
    keeper = ShareKeeper()

    def said(beat: int) -> dict[str, Demand]:
        return {name: demand(9.0, 3.0, beat=1 if name == "dead" else beat) for name in ("a", "b", "dead")}

    assert keeper.step(9, said(1), 1, 0.0).by_worker == {"a": 3, "b": 3, "dead": 3}
    assert set(keeper.step(9, said(2), 1, LEASE_SECONDS - 0.1).by_worker) == {"a", "b", "dead"}
    told = keeper.step(9, said(3), 1, LEASE_SECONDS).by_worker
    assert set(told) == {"a", "b"}
    assert sum(told.values()) >= 9
    ended = said(4) | {"b": Demand(0.0, 0.0, 0, 4, gone=True)}
    assert set(keeper.step(9, ended, 1, LEASE_SECONDS + 0.1).by_worker) == {"a"}


def test_slots_that_stand_unused_while_others_wait_are_given_out_once_more() -> None:
    """Each may run five; what does not run of them at three workers, the fourth cannot wait for."""
    keeper = ShareKeeper()
    at = {"a": demand(9.0, 2.9), **{name: demand(0.6, 0.4) for name in "bcd"}}
    first = keeper.step(5, at, 1, 0.0).by_worker
    later = [keeper.step(5, at, 1, tick / 25).by_worker for tick in range(1, 51)]
    assert later[-1]["a"] > first["a"]
    assert max(sum(shares.values()) for shares in later) <= sum(first.values()) + 3
    waiting = {name: demand(9.0, 1.25) for name in "abcd"}
    shares = [keeper.step(5, waiting, 1, 2 + tick / 25).by_worker for tick in range(26)]
    assert sum(shares[-1].values()) == 5


def test_nothing_is_given_out_beyond_the_limit_while_as_many_run_as_it_says() -> None:
    keeper = ShareKeeper()
    at = {"a": demand(9.0, 6.0), "b": demand(2.0)}
    for tick in range(50):
        assert keeper.step(8, at, 1, tick / 25).by_worker == {"a": 6, "b": 2}


def test_whoever_takes_over_goes_on_from_what_was_told() -> None:
    at = {"a": demand(3.4), "b": demand(4.4)}
    keeper = ShareKeeper(told=Shares(4, 7, 8, {"a": 4, "b": 5}))
    told = keeper.step(8, at, 5, 0.0)
    assert told.by_worker == {"a": 4, "b": 5}
    assert (told.number, told.turn) == (5, 1)


def test_nothing_is_told_anew_while_nothing_changes() -> None:
    keeper = ShareKeeper()
    told = keeper.step(4, {"a": demand(2.0)}, 1, 0.0)
    assert keeper.step(4, {"a": demand(2.0, beat=1)}, 1, 0.1) is told
    assert keeper.step(5, {"a": demand(2.0)}, 1, 0.2).turn == told.turn + 1


def test_demand_is_a_mean_of_late() -> None:
    meter = DemandMeter()
    assert meter.sample((2, 5), 2, 0.0) == Demand(7.0, 2.0, 2, 1)
    later = meter.sample((0, 0), 2, 0.25)
    assert later.wanted is not None
    assert 0.5 < later.busy < later.wanted < 0.7
    assert meter.sample((1, 0), 2, 60.0) == Demand(1.0, 1.0, 2, 3)
    assert meter.sample(None, 2, 61.0).wanted is None
