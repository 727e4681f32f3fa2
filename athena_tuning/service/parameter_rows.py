"""Config parameters as tables and sentences show them: their names, their values, what changes and why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from athena_tuning.model import Decision, TuningConfig
from athena_tuning.service import text, units

LABELS = {
    "max_concurrent": "tasks in flight",
    "timeout_seconds": "timeout",
    "deadline_seconds": "deadline",
    "enable_parallel": "parallel layers",
    "enable_cache": "result cache",
    "layer_selection_enabled": "layer selection",
    "layer_timeouts": "timeouts of layers",
    "skipped_layers": "layers left out",
    "extra_layers": "layers added",
    "second_round": "layers of the second round",
    "second_round_below": "agreement that is enough",
    "thin_below": "pieces below which an answer is thin",
    "exploration_share": "share of recalls that explore",
    "memory_share": "share of recalls whose memory is measured",
    "fusion_weights": "weights of layers in the fused list",
    "rank_constant": "rank constant of the fused list",
    "question_model": "layers asked by question",
    "overload_after_seconds": "overload after",
    "overload_wait_seconds": "longest wait in an overload",
    "hedged_layers": "layers called again when slow",
    "hedging_quantile": "quantile from which a call is slow",
    "concurrency_bounds": "limits that tuning may set",
    "timeout_bounds": "timeouts that tuning may set",
    "limit_scope": "what the limit speaks of",
}
"""What parameters are called where they are not called by the name of their field."""

_WORDS = {**LABELS, "True": "on", "False": "off"}
_FIELDS_AND_VALUES = re.compile(rf"\b({'|'.join(_WORDS)})\b")
_IN_SECONDS = {
    "timeout_seconds",
    "deadline_seconds",
    "layer_timeouts",
    "overload_after_seconds",
    "overload_wait_seconds",
    "timeout_bounds",
}


class ParameterRow(NamedTuple):
    """A parameter with its value before and after, as written, and why."""

    name: str
    before: str
    after: str
    why: str = ""

    @property
    def differs(self) -> bool:
        """Whether the value changes."""
        return self.before != self.after

    @property
    def label(self) -> str:
        """What the parameter is called."""
        return label(self.name)


def label(name: str) -> str:
    """Return what a config field is called in tables and sentences.

    Examples:
        >>> label("max_concurrent"), label("some_new_field")
        ('tasks in flight', 'some new field')
    """
    return LABELS.get(name, name.replace("_", " "))


def written(name: str, value: object) -> str:
    """Return a value of a config field as it is written.

    Examples:
        >>> written("timeout_seconds", 2.5), written("max_concurrent", 8), written("enable_cache", False)
        ('2.5 s', '8', 'off')
    """
    if name == "question_model" and isinstance(value, Mapping):
        return ", ".join(f"{layer} by {len(weights)} features" for layer, weights in value.items()) or "none"
    return units.setting(value, " s" if name in _IN_SECONDS else "")


def all_of(config: TuningConfig) -> list[tuple[str, str]]:
    """Return every parameter of a config: what it is called and its value."""
    return [(label(name), written(name, value)) for name, value in config.to_dict().items()]


def changes(before: TuningConfig, after: TuningConfig) -> list[ParameterRow]:
    """Return the parameters in which two configs differ.

    Examples:
        >>> [row] = changes(TuningConfig(), TuningConfig(timeout_seconds=2.5))
        >>> row.label, row.before, row.after
        ('timeout', '10 s', '2.5 s')
    """
    return [
        ParameterRow(name, written(name, was), written(name, then))
        for name, (was, then) in before.changes_to(after).items()
    ]


def summary_of(decision: Decision) -> str:
    """Return a decision in a sentence, with parameters and values as they are written elsewhere.

    A policy's sentence is its own; what a person wrote stays as it is.

    Examples:
        >>> from athena_tuning.model import Action
        >>> at, words = TuningConfig(), "enable_cache True → False"
        >>> summary_of(Decision("d", 0.0, "rules", "all", Action.KEEP, at, at, words, 9))
        'result cache on → off'
    """
    if decision.policy == "person":
        return decision.summary
    return _FIELDS_AND_VALUES.sub(lambda found: _WORDS[found.group()], decision.summary)


def decided(decision: Decision) -> list[ParameterRow]:
    """Return every parameter that a decision changes or gives a reason for."""
    before, after = decision.before.to_dict(), decision.after.to_dict()
    reasons = {reason.parameter: reason for reason in decision.reasons}
    rows = []
    for name in before:
        if name not in reasons and before[name] == after[name]:
            continue
        why, reason = "", reasons.get(name)
        if reason:
            why = text.plain(reason.rule, 240)
            if reason.bound:
                why += f" · decided by the bound: {text.plain(reason.bound, 80)}"
            if reason.samples:
                why += f" · n = {units.count(reason.samples)}"
        rows.append(ParameterRow(name, written(name, before[name]), written(name, after[name]), why))
    return rows
