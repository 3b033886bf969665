"""A client of the Python SDK, of whichever version this interpreter has.

    python_sdk.py COMMAND [ARGUMENT...]

Prints the names of the tools as a line of JSON, then the result of each call that a line of the input asks for.
"""

import asyncio
import json
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


def say(line: str) -> None:
    """Write a line."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main() -> None:
    """Serve the test until its input ends."""
    bridge = StdioServerParameters(command=sys.argv[1], args=sys.argv[2:])
    async with stdio_client(bridge) as (reader, writer), ClientSession(reader, writer) as session:
        await session.initialize()
        listed = await session.list_tools()
        say(json.dumps([tool.name for tool in listed.tools]))
        while line := await asyncio.to_thread(sys.stdin.readline):
            call = json.loads(line)
            result = await session.call_tool(call["tool"], call["arguments"])
            say(result.model_dump_json(by_alias=True))


asyncio.run(main())
