"""All policies hold what a tuner relies on; the suite that says so finds what breaks it."""

from __future__ import annotations

import pytest

from athena_tuning.model import TuningConfig
from athena_tuning.testing.policies import PolicySuite
from athena_tuning.tuning.policies.base import Policy, decision
from athena_tuning.tuning.policies.registry import POLICIES, make_policy


@pytest.mark.slow
class TestBuiltInPolicies(PolicySuite):
    @pytest.fixture(params=sorted(POLICIES))
    def make(self, request):
        return POLICIES[request.param]


class Restless(Policy):
    """Doubles the limit at every look, bounds or not, without a word of what it remembers."""

    name = "restless"

    def __init__(self):
        self.asked = 0

    def propose(self, evidence, scope="all"):
        self.asked += 1
        return decision(self, evidence, scope, TuningConfig(1 + 2 * self.asked), "because", 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "broken",
    [
        "leaves_a_manager_without_recalls_as_it_is",
        "obeys_narrow_bounds",
        "changes_nothing_by_proposing",
        "decides_the_same_again_from_kept_evidence",
        "settles_where_nothing_changes",
    ],
)
def test_the_suite_finds_a_policy_that(broken):
    with pytest.raises(AssertionError):
        getattr(PolicySuite(), f"test_policy_{broken}")(Restless)


def test_an_unknown_policy_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match="no policy 'best'; there are fixed, gradient, model, rules, vegas"):
        make_policy("best")
