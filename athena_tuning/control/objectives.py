"""The objectives that a store holds: what is promised of all recalls, and of single types of query."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping

from athena_tuning import settings
from athena_tuning.model import Objective
from athena_tuning.store import OBJECTIVES, Store

_SETTING = "ATHENA_TUNING_SLO_MS"

logger = logging.getLogger(__name__)


def objectives(store: Store) -> dict[str, Objective]:
    """Return what is promised, by scope; an answer of "nothing" is among it, so that nobody is asked again.

    Where the store holds no answer for all recalls, ``ATHENA_TUNING_SLO_MS`` is one. What cannot be read is
    left out and logged.

    Raises:
        StoreError: if the store cannot be read.
    """
    promises = {}
    for scope, text in store.posted(OBJECTIVES).items():
        try:
            promises[scope] = Objective.from_dict(json.loads(text))
        except (ValueError, TypeError, AttributeError) as exc:
            logger.warning("the objective of %s cannot be read: %s", scope, exc)
    named = settings.current.get(_SETTING, "")
    if "all" not in promises and named.isdigit() and int(named):
        promises["all"] = Objective(p99_ms=float(named), author=_SETTING)
    return promises


def promised(promises: Mapping[str, Objective]) -> list[Objective]:
    """Return the objectives that promise something, that of all recalls first."""
    return sorted(
        (each for each in promises.values() if not each.is_none), key=lambda o: (o.scope != "all", o.scope)
    )


def keep(store: Store, objective: Objective) -> None:
    """Put an objective in the place of the one that its scope has.

    Raises:
        StoreError: if the store did not take it.
    """
    store.post(OBJECTIVES, objective.scope, json.dumps(objective.to_dict()))
