"""The policies by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from athena_tuning.tuning.model_policy import ModelPolicy
from athena_tuning.tuning.policy import Policy
from athena_tuning.tuning.rules import RulePolicy
from athena_tuning.tuning.yardsticks import FixedPolicy, GradientPolicy, VegasPolicy

POLICIES: Mapping[str, Callable[[], Policy]] = {
    policy.name: policy for policy in (RulePolicy, ModelPolicy, FixedPolicy, VegasPolicy, GradientPolicy)
}


def make_policy(name: str) -> Policy:
    """Return a new policy.

    Raises:
        ValueError: if there is none of that name.
    """
    if name not in POLICIES:
        raise ValueError(f"no policy {name!r}; there are {', '.join(sorted(POLICIES))}")
    return POLICIES[name]()
