"""All formats that are known: ours, and those of other packages (``plugins.FORMATS``)."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from athena_tuning.interchange.recognition import LEAST, Recogniser, Recognition
from athena_tuning.interchange.shape import Sample
from athena_tuning.plugins import FORMATS, plugins

logger = logging.getLogger(__name__)

BY_COLUMNS = "columns"
"""Name of the format that whatever else is not recognised is read as."""

_BUILT_IN = (
    "athena", "otlp", "jaeger", "zipkin", "phoenix", "langsmith", "langfuse", "clickhouse", "span_table",
    "k6", "jmeter", "vegeta", "hey", "oha", "apache_bench", "wrk2", "locust", "nginx", "envoy",
    "structlog", "database_statistics", "prometheus_series", "column_table",
)  # fmt: skip
"""Files of ``recognisers``; each has its ``RECOGNISERS``."""

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Registry:
    """The formats that are known.

    Attributes:
        recognisers: in the order in which they are listed.
        troubles: what could not be registered, and why.
    """

    recognisers: tuple[Recogniser, ...]
    troubles: tuple[str, ...] = ()

    def named(self, name: str) -> Recogniser:
        """Return a recogniser by its name.

        Raises:
            ValueError: if there is none, with those that there are.
        """
        for recogniser in self.recognisers:
            if recogniser.name == name:
                return recogniser
        known = ", ".join(recogniser.name for recogniser in self.recognisers)
        raise ValueError(f"there is no format {name!r:.80}; there are {known}")


@cache
def registry() -> Registry:
    """Return what is registered. A package that cannot be loaded, or takes a name twice, is told of."""
    modules = (import_module(f"athena_tuning.interchange.recognisers.{name}") for name in _BUILT_IN)
    known = {recogniser.name: recogniser for module in modules for recogniser in module.RECOGNISERS}
    installed = plugins(FORMATS)
    troubles = list(installed.troubles)
    for name, added in installed.by_name.items():
        if (trouble := _trouble(added, known)) is not None:
            troubles.append(f"{name} {trouble}")
        else:
            known[added.name] = added
    return Registry(tuple(known.values()), tuple(troubles))


def recognise(
    sample: Sample, name: str | None = None, known: Registry | None = None
) -> tuple[Recogniser, Recognition]:
    """Return the format that a file has, or that a person says it has.

    Args:
        sample: the beginning of the file.
        name: of the format; None: the one that is surest.
        known: the formats; None: all that are registered.

    Raises:
        ValueError: if it has not the marks of the format that is named, or of any.
    """
    known = known or registry()
    if name is not None:
        recogniser = known.named(name)
        if (recognition := _look(recogniser, sample)) is None:
            raise ValueError(f"it has not the marks of {recogniser.title}: {_content_in_words(sample)}")
        return recogniser, recognition
    sure = [(r, recognition) for r in known.recognisers if (recognition := _look(r, sample)) is not None]
    if not sure:
        raise ValueError(f"it is of no format that is known: {_content_in_words(sample)}")
    best = max(sure, key=lambda pair: (pair[1].confidence >= LEAST, pair[1].confidence))
    if best[1].confidence < LEAST:
        best = next((pair for pair in sure if pair[0].name == BY_COLUMNS), best)
    return best


def _look(recogniser: Recogniser, sample: Sample) -> Recognition | None:
    """Return what a recogniser says; one that fails says nothing, whoever wrote it."""
    try:
        return recogniser.recognise(sample)
    except Exception:
        logger.exception("the recogniser of the format %s failed", recogniser.name)
        return None


def _trouble(added: object, known: dict[str, Recogniser]) -> str | None:
    if not isinstance(added, Recogniser):
        return f"is no Recogniser but {type(added).__name__}"
    if not _NAME.fullmatch(added.name):
        return f"has the name {added.name!r:.80}; small letters, digits and hyphens are taken"
    return f"takes the name {added.name!r}, which is taken" if added.name in known else None


def _content_in_words(sample: Sample) -> str:
    if sample.columns:
        return f"its columns are {_listed(sample.columns)}"
    if sample.members:
        return f"its members are {_listed(sample.members)}"
    return f"it begins with {sample.lines[0][:80]!r}" if sample.lines else f"it is {sample.shape}"


def _listed(names: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(map(repr, names[:most]))
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
