"""Decides: from what was measured to a better config, with the reason for every value."""

from __future__ import annotations

from athena_tuning.tuning.contributions import Contributions
from athena_tuning.tuning.policies import POLICIES, make_policy
from athena_tuning.tuning.policy import Policy
from athena_tuning.tuning.tuner import AutoTuner

__all__ = ["POLICIES", "AutoTuner", "Contributions", "Policy", "make_policy"]
