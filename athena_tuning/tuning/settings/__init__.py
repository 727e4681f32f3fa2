"""Every constant that a decision depends on, with its unit and what it was chosen by.

One frozen record a subject, one instance of each; nothing else in this room holds a number that decides.
"Arithmetic": the value follows from others. "Prototype": the design was tried with it over simulated worlds
before this code was written. "Judgement": no measurement stands behind it alone; ``benchmarks/regret.py``
passes with it.
"""

from athena_tuning.tuning.settings.advice import (
    ADMISSION,
    ADVICE,
    ADVISORS,
    FUSION,
    HEDGING,
    LAYERS,
    LOAD,
    QUESTIONS,
    TIMEOUTS,
)
from athena_tuning.tuning.settings.estimation import (
    CONTENTION,
    CONTRIBUTION,
    INTERFERENCE,
    POOL,
    SERVICE_TIME,
    TELEMETRY,
)
from athena_tuning.tuning.settings.simulation import OBJECTIVE, SEARCH, WHAT_IF
from athena_tuning.tuning.settings.trials import CANARY, REVIEW, RULES, SATURATION

__all__ = [
    "ADMISSION",
    "ADVICE",
    "ADVISORS",
    "CANARY",
    "CONTENTION",
    "CONTRIBUTION",
    "FUSION",
    "HEDGING",
    "INTERFERENCE",
    "LAYERS",
    "LOAD",
    "OBJECTIVE",
    "POOL",
    "QUESTIONS",
    "REVIEW",
    "RULES",
    "SATURATION",
    "SEARCH",
    "SERVICE_TIME",
    "TELEMETRY",
    "TIMEOUTS",
    "WHAT_IF",
]
