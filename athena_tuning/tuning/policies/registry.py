"""The policies by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from athena_tuning.tuning.policies.base import Policy
from athena_tuning.tuning.policies.baselines import FixedPolicy, GradientPolicy, VegasPolicy
from athena_tuning.tuning.policies.model_policy import ModelPolicy
from athena_tuning.tuning.policies.rules import RulePolicy

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
