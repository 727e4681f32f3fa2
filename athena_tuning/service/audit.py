"""What the audit trail says of a write: in words, and with the grounds that it had."""

from __future__ import annotations

import uuid

from athena_tuning.load.spec import LoadSpec
from athena_tuning.model import (
    Action,
    Candidate,
    ConfigVersion,
    Decision,
    Objective,
    Reason,
    TuningConfig,
)
from athena_tuning.service import units
from athena_tuning.tuning.simulation.what_if import WhatIf


def decided(version: ConfigVersion, before: TuningConfig, foretold: WhatIf) -> Decision:
    """Return the explanation record of a change by a person who had it simulated before."""
    outcome = foretold.outcomes[0]
    change = outcome.typical_change
    inputs = {"latency_change": change.value, "low": change.low, "high": change.high}
    inputs |= {"p99_change": outcome.p99_change.value, "capacity_change": outcome.capacity_change.value}
    rule = f"{version.author}: {version.reason}"
    changed = before.changes_to(version.config)
    return Decision(
        uuid.uuid4().hex,
        version.time,
        "person",
        version.scope,
        Action.CHANGE if changed else Action.KEEP,
        before,
        version.config,
        f"{rule} (simulated before it was applied)",
        foretold.recalls,
        reasons=tuple(
            Reason(name, after, rule, inputs, foretold.recalls) for name, (_, after) in changed.items()
        ),
        candidates=(Candidate(version.config, *outcome.gain),),
        predicted=outcome.gain.value,
        config_version=version.version,
    )


def load_in_words(spec: LoadSpec) -> str:
    """Return a load in a few words.

    Examples:
        >>> load_in_words(LoadSpec("bursty", rate_per_s=20, duration_s=60))
        'bursty at 20 /s for 60 s'
    """
    if spec.pattern == "replay":
        return f"replay of {spec.replay_of} at {spec.speed:g}x"
    lasts = f" for {spec.duration_s:g} s" if spec.duration_s else ""
    return f"{spec.pattern} at {spec.rate_per_s:g} /s{lasts}"


def objective_in_words(objective: Objective) -> str:
    """Return what is promised in a few words.

    Examples:
        >>> objective_in_words(Objective("temporal", 250.0, 0.999))
        'promised for temporal: p99 250 ms, 99.9 % success'
        >>> objective_in_words(Objective())
        'promised for all: nothing'
    """
    parts = [] if objective.p99_ms is None else [f"p99 {units.ms(objective.p99_ms)}"]
    parts += [] if objective.success is None else [f"{objective.success * 100:g} % success"]
    return f"promised for {objective.scope}: {', '.join(parts) or 'nothing'}"
