"""The official client of the Model Context Protocol, unchanged, against `tastemaker serve` and `tastemaker mcp` (docs/guides/serving.md).

    python -m venv venv && venv/bin/pip install mcp
    tastemaker serve --model demo/model --store scenario.db & venv/bin/python bench/clients/mcp_scenario.py http://127.0.0.1:8080/mcp [key]
    venv/bin/python bench/clients/mcp_scenario.py tastemaker mcp --model demo/model --store scenario.db
"""
import asyncio
import sys
import uuid

import httpx2
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

where, *more = sys.argv[1:] or ["http://127.0.0.1:8080/mcp"]


def server():
    if not where.startswith("http"):
        return StdioServerParameters(command=where, args=more)
    key = {"authorization": f"Bearer {more[0]}"} if more else {}
    return streamable_http_client(where, http_client=httpx2.AsyncClient(headers=key, timeout=30))


async def scenario(mode):
    user = f"mcp-{uuid.uuid4().hex[:8]}"
    async with Client(server(), mode=mode) as client:
        async def call(tool, **arguments):
            # The client checks what comes back against the schema of the tool.
            result = await client.call_tool(tool, arguments)
            assert not result.is_error, result
            return result.structured_content

        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"recommend", "similar", "explain", "search_items", "record_feedback"}, tools
        assert tools["recommend"].annotations.read_only_hint and not tools["record_feedback"].annotations.read_only_hint
        assert "recommend" in client.instructions
        everybody = await call("recommend", n=5)
        first = everybody["items"][0]
        found = await call("search_items", q=first["title"])
        assert first["item_id"] in [item["item_id"] for item in found["items"]], found
        near = await call("similar", item_id=first["item_id"], n=5)
        assert len(near["items"]) == 5 and first["item_id"] not in [item["item_id"] for item in near["items"]]
        done = await call("record_feedback", user_id=user, item_id=first["item_id"], event_type="play",
                          recommendation_id=everybody["recommendation_id"])
        assert done["accepted"] == 1
        own = await call("recommend", user_id=user, n=5, explain=True)
        assert first["item_id"] not in [item["item_id"] for item in own["items"]]
        for _ in range(50):  # lists are written a moment later
            why = await client.call_tool("explain", {"recommendation_id": own["recommendation_id"]})
            if not why.is_error:
                break
            await asyncio.sleep(0.1)
        assert why.structured_content["replay"]["same"], why
        wrong = await client.call_tool("similar", {"item_id": "no-such-item"})
        assert wrong.is_error and "no-such-item" in wrong.content[0].text, wrong
        try:
            await client.call_tool("no_such_tool", {})
            raise SystemExit("an unknown tool answered")
        except MCPError as error:
            assert "tools/list" in str(error)
        many = await asyncio.gather(*(call("recommend", user_id=user, n=3) for _ in range(20)))
        assert all(one["items"] == many[0]["items"] for one in many)
        reason = (own["items"][0].get("reason") or {}).get("text", "none")
        return f"protocol {client.protocol_version}; a reason: {reason}"


for mode in ("auto", "legacy"):
    print(f"{mode}: {asyncio.run(scenario(mode))}")
print("mcp: all well")
