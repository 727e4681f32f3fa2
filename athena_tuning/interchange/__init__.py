"""Reads what others measured: tables and traces of queries as ``QueryMetrics``."""

from __future__ import annotations

from athena_tuning.interchange.mapping import ColumnMapping
from athena_tuning.interchange.opening import Limits
from athena_tuning.interchange.plausibility import Doubt, NeedsConfirmation
from athena_tuning.interchange.reading import Import
from athena_tuning.interchange.recognition import Question, Recogniser, Recognition
from athena_tuning.interchange.registry import registry
from athena_tuning.interchange.report import ImportRefused, ImportReport, Problem
from athena_tuning.interchange.storing import Stored, store_import

__all__ = [
    "ColumnMapping",
    "Doubt",
    "Import",
    "ImportRefused",
    "ImportReport",
    "Limits",
    "NeedsConfirmation",
    "Problem",
    "Question",
    "Recogniser",
    "Recognition",
    "Stored",
    "registry",
    "store_import",
]
