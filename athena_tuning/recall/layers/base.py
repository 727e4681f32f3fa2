"""What a layer is."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Protocol

from athena_tuning.recall.items import Item, LayerQuery

SearchResult = Sequence[Item | Mapping[str, Any] | object]
"""What a search gives, a list, best first: items, or mappings or objects with at least ``id`` (of any type,
handed on as text) and ``text``, ``content`` or ``page_content``."""


class Layer(Protocol):
    """A part of a memory that can be asked. Register one with ``MemoryManager.register_layer``.

    Whatever it raises or returns, a recall goes on without it and says why. Its calls run in the context
    variables of whoever asked.

    A layer may also have:

    - ``cache_seconds``: how long an answer of it may be repeated (default 300; 0: never).
    - ``stale_seconds``: how much longer the last good one may stand in while it is down (default 0).
    - ``keeps_deadline = True``: its ``search`` returns, or raises ``TimeoutError``, by the deadline without
      being watched, so that it may run in the caller's own thread.
    - ``items_are_new = True``: its ``search`` makes the dictionaries that it gives anew for each call, so
      that they need not be copied.
    - ``idempotent = True``: asking it twice changes nothing, and either answer will do; then a config may
      let a slow search be made a second time (``hedged_layers``).
    - ``event_loop``: where a coroutine runs when a recall is awaited: "caller" (the loop that awaits, so that
      it can use its clients) or "manager" (the manager's own, as for blocking recalls).
    - ``after = ("semantic",)``: it is asked when these have answered, and sees what they found as
      ``query.found["semantic"]``. It waits for none that the recall does not ask; its own answers are not
      kept, for they change with those.
    - ``open()`` and ``close()``, functions or coroutine functions: called before its first and after its
      last call. A layer that ``open`` fails for is left out, and opened again later.
    - ``probe(deadline)``, the same: tries, outside of recalls, whether a layer that was left out is well.

    Examples:
        A remote service as a layer, waiting on an event loop and not in a thread:

        >>> import asyncio, tempfile, time
        >>> from athena_tuning.recall import MemoryManager
        >>> class Tickets:
        ...     name = "tickets"
        ...     async def search(self, query, k, deadline):
        ...         answer = await self.get("/search", q=str(query), limit=k)
        ...         return [{"id": t["key"], "text": t["title"], "url": t["url"]} for t in answer]
        ...     async def get(self, path, **params):  # in your code: await client.get(path, params=params)
        ...         await asyncio.sleep(0.02)
        ...         return [{"key": "T-7", "title": "Login fails on Fridays", "url": "https://tickets.test/7"}]
        >>> with MemoryManager(":memory:") as manager:
        ...     manager.register_layer(Tickets())
        ...     answer = manager.recall("Why does the login fail?")
        >>> [found["url"] for found in answer["tickets"]]
        ['https://tickets.test/7']

        A blocking client works as well: leave ``async`` and ``await`` away and pass on what is left of the
        time, as in ``requests.get(url, timeout=deadline - time.monotonic())``.
    """

    @property
    def name(self) -> str:
        """Unique among a manager's layers."""

    def search(self, query: LayerQuery, k: int, deadline: float) -> SearchResult | Awaitable[SearchResult]:
        """Return what fits best. May be a coroutine function.

        Args:
            query: the text (it is a ``str``) with ``scope``, ``query_type``, ``context`` and ``when``.
            k: how many at most.
            deadline: ``time.monotonic()`` at which the answer is of no more use.

        Raises:
            TimeoutError: if the deadline passed.
            Exception: anything else; the recall goes on without this layer and says so.
        """
