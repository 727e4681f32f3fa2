"""The policies by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from athena_tuning.tuning.policy import Policy
from athena_tuning.tuning.rules import RulePolicy

POLICIES: Mapping[str, Callable[[], Policy]] = {"rules": RulePolicy}


def make_policy(name: str) -> Policy:
    """Return a new policy.

    Raises:
        ValueError: if there is none of that name.
    """
    if name not in POLICIES:
        raise ValueError(f"no policy {name!r}; there are {', '.join(sorted(POLICIES))}")
    return POLICIES[name]()
