"""Shares metrics, configs, decisions and workers among processes: one contract, three stores."""

from __future__ import annotations

from athena_tuning.store.base import REMOVED, WITH_EVIDENCE, MetricsTail, Store
from athena_tuning.store.configs import ConfigChange
from athena_tuning.store.errors import ConfigConflict, LeaseLost, StoreError
from athena_tuning.store.health import StoreEvent, StoreHealth, UnreadableRow
from athena_tuning.store.leases import Lease
from athena_tuning.store.memory_store import MemoryStore
from athena_tuning.store.opening import open_store
from athena_tuning.store.records import StoredRecords
from athena_tuning.store.retention import EXPERIMENTS, OBJECTIVES, WELCOME, Level, Retention
from athena_tuning.store.rollup import RECALLS, Rollups, Summary
from athena_tuning.store.text_policy import TextPolicy

__all__ = [
    "EXPERIMENTS",
    "OBJECTIVES",
    "RECALLS",
    "REMOVED",
    "WELCOME",
    "WITH_EVIDENCE",
    "ConfigChange",
    "ConfigConflict",
    "Lease",
    "LeaseLost",
    "Level",
    "MemoryStore",
    "MetricsTail",
    "Retention",
    "Rollups",
    "Store",
    "StoreError",
    "StoreEvent",
    "StoreHealth",
    "StoredRecords",
    "Summary",
    "TextPolicy",
    "UnreadableRow",
    "open_store",
]
