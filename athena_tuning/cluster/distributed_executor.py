"""Many queries at once, over the members of a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

from athena_tuning.cluster.recall_cluster import RecallCluster

AT_ONCE = 100


class DistributedExecutor:
    """Runs lists of queries on a cluster: spread over its members, answers in the order of the queries.

    Args:
        cluster: to ask; it stays open. Or its URL: then ``close`` closes what was opened.
        at_once: most recalls under way.
    """

    def __init__(self, cluster: RecallCluster | str, *, at_once: int = AT_ONCE) -> None:
        if at_once < 1:
            raise ValueError(f"at_once must be 1 or more, not {at_once}")
        self._own = isinstance(cluster, str)
        self._cluster = RecallCluster(cluster) if isinstance(cluster, str) else cluster
        self._at_once = at_once

    def execute(self, queries: Iterable[str], **how: Any) -> list[dict[str, Any]]:
        """Ask all queries and return their answers, in their order.

        Args:
            queries: texts.
            how: as ``RecallCluster.recall`` takes it, for all of them.

        Raises: as ``RecallCluster.recall`` does; the others are given up then.
        """
        return asyncio.run(self.aexecute(queries, **how))

    async def aexecute(self, queries: Iterable[str], **how: Any) -> list[dict[str, Any]]:
        """Do as ``execute`` does, without blocking the running loop."""
        answers = {place: answer async for place, answer in self.as_answered(queries, **how)}
        return [answers[place] for place in range(len(answers))]

    async def as_answered(
        self, queries: Iterable[str], **how: Any
    ) -> AsyncIterator[tuple[int, dict[str, Any]]]:
        """Give each query's place in the list with its answer, in the order in which answers come."""
        waiting = enumerate(queries)
        under_way: dict[asyncio.Task[dict[str, Any]], int] = {}
        try:
            while True:
                while len(under_way) < self._at_once and (following := next(waiting, None)) is not None:
                    place, query = following
                    under_way[asyncio.ensure_future(self._cluster.arecall(query, **how))] = place
                if not under_way:
                    return
                done, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield under_way.pop(task), task.result()
        finally:
            for task in under_way:
                task.cancel()

    def close(self) -> None:
        """Close the cluster's client, if it was opened here."""
        if self._own:
            self._cluster.close()
