"""Brings a sample workload into a store, as a batch that can be looked at by itself and taken out again."""

from __future__ import annotations

import uuid

from athena_tuning.model import Source, SourceBatch
from athena_tuning.model.source import of_batch
from athena_tuning.samples.sample_workloads import load_records
from athena_tuning.store import Store


def store_sample(name: str, store: Store, *, ending_at: float) -> SourceBatch:
    """Put a sample workload into a store as if it had just ended; return what it is there.

    Args:
        name: of the workload.
        store: takes the records; no manager is told.
        ending_at: Unix seconds of its end.

    Raises:
        ValueError: if there is no such workload.
        StoreError: if the store does not take it; nothing of it is there then.
    """
    batch = f"{name}-{uuid.uuid4().hex[:8]}"
    source = of_batch(Source.SAMPLE, batch)
    records = load_records(name, ending_at=ending_at)
    store.append_metrics(f"sample-{batch}", 1, [record._replace(source=source) for record in records])
    return SourceBatch(source, len(records), records[0].timestamp, records[-1].timestamp)
