"""An agent's memory: start the server as an agent does, remember something, recall it."""

from __future__ import annotations

import asyncio
import os
import sys

from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

server = StdioServerParameters(
    command=sys.executable, args=["-m", "athena_tuning", "mcp"], env=dict(os.environ)
)


async def main() -> None:
    async with Client(server) as agent:
        await agent.call_tool("remember", {"text": "The staging database is postgres-ledger", "id": "db"})
        answer = await agent.call_tool("recall", {"query": "Which database does staging use?"})
        print([item["text"] for item in (answer.structured_content or {})["items"]])


asyncio.run(main())
