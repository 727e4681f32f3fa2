"""A real server, as an agent starts it, asked by the protocol's own client over stdio and over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys

import httpx
import pytest
from mcp import MCPError
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from athena_tuning.recall import MemoryManager
from athena_tuning.store import open_store

TOKEN = "a token of sixteen letters or more"


@pytest.fixture
def environment(tmp_path):
    told = {
        "ATHENA_TUNING_HOME": str(tmp_path),
        "ATHENA_TUNING_OPERATOR_TOKEN": TOKEN,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PATH": os.environ["PATH"],
    }
    with MemoryManager(tmp_path / "memory.db") as manager:
        manager.remember({"id": "n1", "layer": "episodic", "text": "Zoe mended the lighthouse lamp"})
    return told


def command(environment):
    arguments = ["-m", "athena_tuning", "mcp"]
    return StdioServerParameters(command=sys.executable, args=arguments, env=environment)


def text_of(result):
    """What a tool's answer says, as text."""
    return result.content[0].text


async def remembers_recalls_and_forgets(client):
    kept = text_of(
        await client.call_tool("remember", {"text": "The lamp burns whale oil", "scope": "harbour"})
    )
    answer = (await client.call_tool("recall", {"query": "what does the lamp burn?"})).structured_content
    assert {item["id"] for item in answer["items"]} == {kept, "n1"}
    assert answer["missing"] == {}
    noted = await client.call_tool("feedback", {"query_id": answer["query_id"], "score": 1.0})
    assert (text_of(noted), noted.is_error) == ("noted", False)
    only = (await client.call_tool("recall", {"query": "lamp", "scope": "harbour"})).structured_content
    assert [item["id"] for item in only["items"]] == [kept]
    episodes = await client.call_tool("recall", {"query": "lamp", "layers": ["episodic"]})
    assert [item["id"] for item in episodes.structured_content["items"]] == ["n1"]
    read = await client.read_resource(f"memory://items/harbour/{kept}")
    assert json.loads(read.contents[0].text)["text"] == "The lamp burns whale oil"
    assert json.loads((await client.read_resource("memory://items/-/n1")).contents[0].text)["id"] == "n1"
    status = json.loads(text_of(await client.call_tool("status", {})))
    assert status["items"]["semantic"] == 1
    assert status["recalls"] == 3
    assert kept in text_of(await client.call_tool("forget", {"id": kept, "scope": "harbour"}))
    with pytest.raises(MCPError, match="no item"):
        await client.read_resource(f"memory://items/harbour/{kept}")


def test_an_agent_remembers_recalls_judges_and_forgets_over_stdio(environment):
    async def talk():
        async with Client(command(environment)) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert set(tools) == {"recall", "remember", "forget", "feedback", "status"}
            assert all(tool.description for tool in tools.values())
            assert "scope" in tools["recall"].input_schema["properties"]
            await remembers_recalls_and_forgets(client)

    asyncio.run(talk())


MISTAKES = [
    ("recall", {"query": "lamp", "k": 0}, "k must be a whole number from 1 to 1000"),
    ("recall", {"query": "  "}, "the query must be text that is not empty"),
    ("remember", {"text": "x", "layer": "dreams"}, "there are episodic, semantic"),
    ("remember", {"text": "x", "timestamp": "soon"}, "timestamp"),
    ("forget", {"id": "nobody"}, "recall gives the ids of items"),
    ("feedback", {"query_id": "nobody", "score": 1}, "query_id is in recall's answer"),
    ("feedback", {"query_id": "nobody", "score": 7}, "score"),
    ("recall", {"query": "lamp", "layers": ["dreams"]}, "there is no layer 'dreams'; there are episodic"),
    ("recall", {"q": "lamp"}, "query"),
]


def test_an_agent_that_errs_reads_what_is_wrong_and_what_to_do(environment):
    async def talk():
        async with Client(command(environment)) as client:
            return [await client.call_tool(tool, arguments) for tool, arguments, _ in MISTAKES]

    for answer, (_, _, way_out) in zip(asyncio.run(talk()), MISTAKES, strict=True):
        assert answer.is_error
        assert way_out in text_of(answer)


def test_several_agents_share_a_memory_and_a_store_and_are_seen_as_workers(environment, tmp_path):
    async def talk():
        async with Client(command(environment)) as one, Client(command(environment)) as other:
            await one.call_tool("remember", {"text": "The harbour master is Ines", "id": "m"})
            answer = (
                await other.call_tool("recall", {"query": "who is the harbour master?"})
            ).structured_content
            assert [item["id"] for item in answer["items"]] == ["m"]

    asyncio.run(talk())
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        workers = [worker.worker_id for worker in store.workers()]
        assert len([worker for worker in workers if worker.startswith("mcp-")]) == 2
        assert len(store.tail_metrics().records) == 1


def test_over_http_an_agent_needs_the_token(environment):
    process = subprocess.Popen(
        [sys.executable, "-m", "athena_tuning", "mcp", "--http", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        address = next(found[0] for line in process.stdout if (found := re.search(r"http://\S+/mcp", line)))

        async def talk():
            headers = {"Authorization": f"Bearer {TOKEN}"}
            async with (
                httpx.AsyncClient(headers=headers, timeout=60) as http,
                Client(streamable_http_client(address, http_client=http)) as client,
            ):
                await remembers_recalls_and_forgets(client)

        asyncio.run(talk())
        for headers, status in (
            ({}, 401),
            ({"Authorization": "Bearer wrong"}, 401),
            ({"Authorization": f"Bearer {TOKEN}", "Host": "evil.example"}, 421),
        ):
            assert httpx.post(address, headers=headers, json={}, timeout=60).status_code == status
    finally:
        process.terminate()
        process.wait(20)
