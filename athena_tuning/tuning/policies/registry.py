"""The policies by name, those of other packages too."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from athena_tuning import plugins
from athena_tuning.tuning.policies.base import Policy
from athena_tuning.tuning.policies.baselines import FixedPolicy, GradientPolicy, VegasPolicy
from athena_tuning.tuning.policies.model_policy import ModelPolicy
from athena_tuning.tuning.policies.rules import RulePolicy

POLICIES: Mapping[str, Callable[[], Policy]] = {
    policy.name: policy for policy in (RulePolicy, ModelPolicy, FixedPolicy, VegasPolicy, GradientPolicy)
}


def make_policy(name: str) -> Policy:
    """Return a new policy, one of ours or of another package.

    Args:
        name: one of ``POLICIES``, or of an entry point in the group ``athena_tuning.policies``.

    Raises:
        ValueError: if there is none of that name, with those that there are and what could not be loaded.
        TypeError: if what is installed under that name makes no ``Policy``.
    """
    if name in POLICIES:
        return POLICIES[name]()
    installed = plugins.plugins(plugins.POLICIES)
    if name not in installed.by_name:
        known = ", ".join(sorted({*POLICIES, *installed.by_name}))
        raise ValueError(". ".join((f"no policy {name!r}; there are {known}", *installed.troubles)))
    policy = installed.by_name[name]()
    if not isinstance(policy, Policy):
        raise TypeError(f"what is installed as policy {name!r} makes no Policy but {type(policy).__name__}")
    return policy
