"""Decides: from what was measured to a better config, with the reason for every value."""

from __future__ import annotations

from athena_tuning.tuning.estimation.contributions import Contributions
from athena_tuning.tuning.policies.base import Policy
from athena_tuning.tuning.policies.registry import POLICIES, make_policy
from athena_tuning.tuning.tuner import AutoTuner

__all__ = ["POLICIES", "AutoTuner", "Contributions", "Policy", "make_policy"]
