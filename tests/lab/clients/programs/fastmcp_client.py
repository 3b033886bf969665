"""A client of FastMCP.

    fastmcp_client.py COMMAND [ARGUMENT...]

Prints the names of the tools as a line of JSON, then the result of each call that a line of the input asks for.
"""

import asyncio
import json
import sys

from fastmcp import Client
from fastmcp.client.transports import StdioTransport


def say(line: str) -> None:
    """Write a line."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main() -> None:
    """Serve the test until its input ends."""
    async with Client(StdioTransport(command=sys.argv[1], args=sys.argv[2:])) as client:
        say(json.dumps([tool.name for tool in await client.list_tools()]))
        while line := await asyncio.to_thread(sys.stdin.readline):
            call = json.loads(line)
            result = await client.call_tool_mcp(call["tool"], call["arguments"])
            say(result.model_dump_json(by_alias=True))


asyncio.run(main())
