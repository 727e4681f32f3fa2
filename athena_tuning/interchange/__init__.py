"""Reads what others measured: tables and traces of queries as ``QueryMetrics``."""

from __future__ import annotations

from athena_tuning.interchange.formats import Format
from athena_tuning.interchange.mapping import ColumnMapping
from athena_tuning.interchange.opening import Limits
from athena_tuning.interchange.reading import Import, ImportRefused, ImportReport, Problem
from athena_tuning.interchange.storing import Stored, store_import

__all__ = [
    "ColumnMapping",
    "Format",
    "Import",
    "ImportRefused",
    "ImportReport",
    "Limits",
    "Problem",
    "Stored",
    "store_import",
]
