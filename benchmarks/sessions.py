"""A browser's half of Streamlit's protocol: a session that opens pages and lets their live parts renew."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple, Self

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect


class Ran(NamedTuple):
    """One run of a page or of a live part of it: seconds until it had finished, bytes that came."""

    seconds: float
    size: int


@dataclass
class Session:
    """One browser tab.

    Args:
        port: the server's, on this machine.
        query: the address' parameters.

    Attributes:
        parts: live parts of the page, and the seconds after which each wants to renew itself.
    """

    port: int
    query: str = ""
    parts: dict[str, float] = field(default_factory=dict)
    _page: str = ""
    _known: set[str] = field(default_factory=set)
    _socket: ClientConnection | None = None

    async def __aenter__(self) -> Self:
        self._socket = await connect(
            f"ws://127.0.0.1:{self.port}/_stcore/stream",
            subprotocols=["streamlit"],  # type: ignore[list-item]
            max_size=None,
            compression=None,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._socket is not None:
            await self._socket.close()

    async def open(self, page: str) -> Ran:
        """Open a page by its address."""
        self._page = page
        self.parts.clear()
        return await self._run(page_name=page)

    async def renew(self, part: str) -> Ran:
        """Let a live part of the page renew itself."""
        return await self._run(fragment_id=part, is_auto_rerun=True, page_name=self._page)

    async def stay(self, seconds: float) -> list[Ran]:
        """Stay on the page for so long, its live parts renewing themselves in their time."""
        ran = []
        due = {part: time.perf_counter() + every for part, every in self.parts.items()}
        end = time.perf_counter() + seconds
        while due and (part := min(due, key=lambda p: due[p])) and due[part] < end:
            await asyncio.sleep(max(0.0, due[part] - time.perf_counter()))
            ran.append(await self.renew(part))
            due[part] = time.perf_counter() + self.parts[part]
        await asyncio.sleep(max(0.0, end - time.perf_counter()))
        return ran

    async def _run(self, **state: Any) -> Ran:
        assert self._socket is not None
        message = BackMsg()
        asked = message.rerun_script
        asked.query_string = self.query
        asked.context_info.timezone = "UTC"
        asked.context_info.url = f"http://127.0.0.1:{self.port}/{self._page}"
        asked.cached_message_hashes.extend(self._known)
        for name, value in state.items():
            setattr(asked, name, value)
        start, size = time.perf_counter(), 0
        await self._socket.send(message.SerializeToString())
        async for data in self._socket:
            size += len(data)
            came = ForwardMsg.FromString(data)
            kind = came.WhichOneof("type")
            if kind == "auto_rerun":
                self.parts[came.auto_rerun.fragment_id] = came.auto_rerun.interval
            if came.metadata.cacheable:
                self._known.add(came.hash)
            if kind == "script_finished" and came.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                return Ran(time.perf_counter() - start, size)
        raise ConnectionError("the server ended the session")
