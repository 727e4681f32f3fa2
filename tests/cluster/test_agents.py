"""An agent that asks a cluster by the Model Context Protocol, as it starts the server itself."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from athena_tuning import MemoryManager, open_store
from athena_tuning.cluster import serve
from tests.support.memory_layers import NOTES

pytestmark = pytest.mark.slow


def test_agent_asks_and_tells_a_cluster_by_mcp(url: str, tmp_path: Path) -> None:
    pytest.importorskip("mcp")
    from mcp.client import Client
    from mcp.client.stdio import StdioServerParameters

    home = {"ATHENA_TUNING_HOME": str(tmp_path / "home"), "PYTHONPATH": os.pathsep.join(sys.path)}
    words = ["-m", "athena_tuning", "mcp", "--on", url]
    server = StdioServerParameters(command=sys.executable, args=words, env={**os.environ, **home})

    async def talk() -> None:
        async with Client(server) as client:
            asked = {"query": "When did the billing deploy fail?"}
            found = (await client.call_tool("recall", asked)).structured_content
            assert found["items"][0]["id"] == "e1"
            kept = await client.call_tool("remember", {"text": "The lamp burns whale oil", "scope": "s"})
            assert manager.item(kept.content[0].text, "s").text == "The lamp burns whale oil"
            noted = await client.call_tool("feedback", {"query_id": found["query_id"], "score": 1.0})
            assert not noted.is_error

    with (
        open_store(f"sqlite:///{tmp_path / 'store.db'}") as store,
        MemoryManager(tmp_path / "memory.db", store=store) as manager,
        serve(manager, url),
    ):
        manager.remember_many(NOTES)
        asyncio.run(talk())
        assert manager.profiler.metrics[-1].user_satisfaction == 1.0
