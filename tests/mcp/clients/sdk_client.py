"""An MCP client of the Python SDK, of whichever version this interpreter has: lists the tools behind a bridge.

sdk_client.py COMMAND [ARGUMENT...]
"""

import asyncio
import os
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


async def main() -> None:
    """Say hello, and print the names of the tools."""
    bridge = StdioServerParameters(command=sys.argv[1], args=sys.argv[2:], env=dict(os.environ))
    async with stdio_client(bridge) as (reader, writer), ClientSession(reader, writer) as session:
        await session.initialize()
        listed = await session.list_tools()
        for tool in listed.tools:
            sys.stdout.write(f"{tool.name}\n")


asyncio.run(main())
