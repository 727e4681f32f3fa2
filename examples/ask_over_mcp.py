"""Starts the memory server as an agent does, and asks it with the protocol's own client (extra ``mcp``)."""

import asyncio
import os
import sys

from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

SERVER = StdioServerParameters(
    command=sys.executable, args=["-m", "athena_tuning", "mcp"], env=dict(os.environ)
)


async def talk() -> None:
    async with Client(SERVER) as memory:
        note = {"text": "The lamp burns whale oil", "scope": "harbour", "id": "lamp"}
        await memory.call_tool("remember", note)
        recalled = await memory.call_tool("recall", {"query": "what does the lamp burn?"})
        answer = recalled.structured_content or {}
        print([item["text"] for item in answer["items"]])
        await memory.call_tool("feedback", {"query_id": answer["query_id"], "score": 1.0})
        refused = await memory.call_tool("recall", {"query": "lamp", "k": 0})
        print("refused:", getattr(refused.content[0], "text", ""))


if __name__ == "__main__":
    asyncio.run(talk())
