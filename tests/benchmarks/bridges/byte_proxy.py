"""The smallest bridge of asyncio, as a floor to compare with. No product: it knows no session but the first one.

usage: byte_proxy.py HOST PORT PATH

Each line of standard input becomes a POST, and the data of each event that comes back becomes a line. No message is
parsed.
"""

import asyncio
import sys


async def run(host: str, port: str, path: str) -> None:
    """Until the end of the input."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=2**26)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    reader, writer = await asyncio.open_connection(host, int(port), limit=2**26)
    fixed = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
    fixed += "Accept: application/json, text/event-stream\r\n"
    session = ""
    while line := await lines.readline():
        writer.write(f"{fixed}{session}Content-Length: {len(line)}\r\n\r\n".encode() + line)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        session = next((f"{row}\r\n" for row in head.split("\r\n") if row.startswith("Mcp-Session-Id")), session)
        if "chunked" not in head:
            continue
        while size := int(await reader.readline(), 16):
            chunk = await reader.readexactly(size + 2)
            sys.stdout.buffer.write(chunk.partition(b"data: ")[2].rstrip() + b"\n")
            sys.stdout.buffer.flush()
        await reader.readline()


if __name__ == "__main__":
    asyncio.run(run(*sys.argv[1:]))
