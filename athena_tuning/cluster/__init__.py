"""Recalls over several processes and machines: managers that answer on NATS, and a client that asks them.

Examples:
    A manager that answers, and who asks it (`docs/cluster.md`)::

        with MemoryManager("memory.db", store=store) as manager, serve(manager, "nats://127.0.0.1:4222"):
            ...

        with RecallCluster("nats://127.0.0.1:4222") as cluster:
            answer = cluster.recall("When was the login fixed?")
"""

from __future__ import annotations

from athena_tuning.extras import needs_extra

with needs_extra("cluster", "A cluster of managers"):
    import nats as _nats  # noqa: F401

from athena_tuning.cluster.address import Address
from athena_tuning.cluster.connection import BrokerAway
from athena_tuning.cluster.distributed_executor import DistributedExecutor
from athena_tuning.cluster.member import ClusterMember, serve
from athena_tuning.cluster.recall_cluster import RecallCluster
from athena_tuning.cluster.wire import NobodyThere

__all__ = [
    "Address",
    "BrokerAway",
    "ClusterMember",
    "DistributedExecutor",
    "NobodyThere",
    "RecallCluster",
    "serve",
]
