"""What requests carry: checked, and described in the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from athena_tuning.model import Mode, TuningStrategy

Reason = Annotated[str, Field(min_length=1, max_length=500, description="Why, for the history.")]


class Body(BaseModel):
    """A body without fields that nobody knows: a name that is misspelt is told."""

    model_config = ConfigDict(extra="forbid")


class RecallBody(Body):
    """A question to the memory."""

    query: str
    context: dict[str, Any] | None = None
    k: int = 5
    scope: str | None = None
    use_cache: bool = True
    use_parallel: bool = True
    layers: list[str] | None = None


class RememberBody(Body):
    """Items to keep, each in place of one with the same id in the same scope."""

    items: list[dict[str, Any]] = Field(
        min_length=1,
        max_length=10_000,
        examples=[[{"id": "n1", "layer": "episodic", "text": "Ana fixed the login bug"}]],
    )


class ForgetBody(Body):
    """Items to drop. Without ``scope`` an id may be in any scope, but only in one."""

    ids: list[str] = Field(min_length=1, max_length=10_000)
    scope: str | None = None


class FeedbackBody(Body):
    """How good an answer was: 0 (useless) to 1 (just right)."""

    query_id: str
    score: float = Field(ge=0, le=1)


class ConfigBody(Body):
    """Values to put in force; those that are left out stay as they are."""

    config: dict[str, Any]
    reason: Reason
    mode: Mode | None = None


class StrategyBody(Body):
    """What is wanted most from now on."""

    strategy: TuningStrategy
    reason: Reason


class ExperimentBody(Body):
    """Values to try in turns with those in force; those that are left out are the same in both."""

    config: dict[str, Any]
    reason: Reason
    scope: str = "all"
    seconds: float = Field(default=300.0, ge=60, le=3600, description="How long it lasts.")


class EndExperimentBody(Body):
    """Why an experiment is ended; nothing needs to be said."""

    reason: str = Field(default="", max_length=500)


class RollBackBody(Body):
    """An earlier version, to be in force again."""

    version: int
    reason: Reason
