"""An AI client of a real MCP server: lists its tools. Runs with the interpreter of the server's environment.

usage: list_tools.py http URL          the bearer is read from stdin
       list_tools.py stdio COMMAND...  a bridge
"""

import asyncio
import json
import os
import sys

from fastmcp import Client
from fastmcp.client.transports import ClientTransport, StdioTransport, StreamableHttpTransport


def transport(way: str, words: list[str]) -> ClientTransport:
    if way == "http":
        return StreamableHttpTransport(words[0], auth=sys.stdin.readline().strip())
    return StdioTransport(words[0], words[1:], env=dict(os.environ), keep_alive=False)


async def tools(way: str, words: list[str]) -> list[str]:
    async with Client(transport(way, words)) as client:
        return [tool.name for tool in await client.list_tools()]


if __name__ == "__main__":
    json.dump(asyncio.run(tools(sys.argv[1], sys.argv[2:])), sys.stdout)
