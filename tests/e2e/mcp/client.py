"""Speaks to an MCP server with the official SDK for Python.

    client.py legacy|auto URL TOKEN TOOL ARGUMENTS

`legacy` begins with the handshake of the earlier eras, `auto` finds out what is spoken. One JSON on stdout:
{"version", "tools": [...], "result": {...}}.
"""

import asyncio
import json
import sys

import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client


async def main(mode: str, url: str, token: str, tool: str, given: str) -> None:
    http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=60)
    transport = streamable_http_client(url, http_client=http)
    async with Client(transport, mode=mode) as client:
        tools = []
        cursor = None
        while True:
            page = await client.list_tools(cursor=cursor)
            tools += [one.model_dump(by_alias=True, exclude_none=True, mode="json") for one in page.tools]
            cursor = page.next_cursor
            if not cursor:
                break
        result = await client.call_tool(tool, json.loads(given))
        told = {
            "version": client.protocol_version,
            "tools": tools,
            "result": result.model_dump(by_alias=True, exclude_none=True, mode="json"),
        }
    print(json.dumps(told))


asyncio.run(main(*sys.argv[1:]))
