"""Reads what others measured: tables and traces of queries as ``QueryMetrics``."""

from __future__ import annotations

from athena_tuning.workload.importing.formats import Format
from athena_tuning.workload.importing.mapping import ColumnMapping
from athena_tuning.workload.importing.opening import Limits
from athena_tuning.workload.importing.reading import Import, ImportRefused, ImportReport, Problem
from athena_tuning.workload.importing.storing import Stored, store_import

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
