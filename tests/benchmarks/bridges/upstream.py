"""The MCP server behind the bridges: fast and quiet, so that the bridges are measured and not the server.

usage: upstream.py PORT [--comments SECONDS]      (answers of tools are event streams, as servers of FastMCP send them)

Tools: `echo`; `image`, whose result is one long string; `dense`, whose result is many short values.
"""

import argparse
import asyncio
import json
import uuid
from typing import Any

LARGE = 8 * 1024 * 1024
"""Bytes of the results of `image` and `dense`."""

NAME, VERSION = "bench", "1.0"


def _tool(name: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"text": {"type": "string"}}}
    return {"name": name, "description": f"Return {name}.", "inputSchema": schema}


HELLO = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {"listChanged": True}},
    "serverInfo": {"name": NAME, "version": VERSION},
}
TOOLS = {"tools": [_tool(name) for name in ("echo", "image", "dense")]}


def _text(value: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": value}], "isError": False}


def _dense() -> dict[str, Any]:
    node = {"name": "Node3D", "index": 1234, "at": [1.5, -2.25, 0.125], "visible": True, "parent": None, "groups": []}
    nodes = [node] * (LARGE // len(json.dumps(node, separators=(",", ":"))))
    return {"content": [], "structuredContent": {"nodes": nodes}, "isError": False}


RESULTS = {
    "echo": json.dumps(_text("x")),
    "image": json.dumps({"content": [{"type": "image", "mimeType": "image/png", "data": "iVBORw0K" * (LARGE // 8)}]}),
    "dense": json.dumps(_dense(), separators=(",", ":")),
}


class Connection(asyncio.Protocol):
    """A connection. Requests come one after the other, with a length."""

    comments_s = 0.0

    def __init__(self) -> None:
        self._unread = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._unread += data
        while b"\r\n\r\n" in self._unread:
            head, _, rest = self._unread.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines}
            length = int(headers.get("content-length", 0))
            if len(rest) < length:
                return
            body, self._unread = rest[:length], rest[length:]
            self._serve(first.split()[0], first.split()[1], body)

    def _serve(self, method: str, path: str, body: bytes) -> None:
        if path != "/mcp":
            self._answer("200 OK", "application/json", json.dumps({"name": NAME, "version": VERSION}))
        elif method == "GET":
            self._transport.write(_head("200 OK", "text/event-stream") + b"Transfer-Encoding: chunked\r\n\r\n")
            self._comment()
        elif method == "POST":
            self._answer_message(json.loads(body))
        else:
            self._answer("200 OK", "application/json", "")

    def _answer_message(self, message: dict[str, Any]) -> None:
        match message:
            case {"id": number, "method": "initialize"}:
                self._answer_event(number, json.dumps(HELLO), f"Mcp-Session-Id: {uuid.uuid4().hex}\r\n")
            case {"id": number, "method": "tools/list"}:
                self._answer_event(number, json.dumps(TOOLS))
            case {"id": number, "method": "tools/call", "params": {"name": name}}:
                self._answer_event(number, RESULTS[name])
            case {"id": number, "method": "ping"}:
                self._answer_event(number, "{}")
            case {"id": number, "method": "server/discover"}:
                error = {"code": -32600, "message": "Bad Request: Missing session ID"}
                self._answer("400 Bad Request", "application/json", _message(number, "error", json.dumps(error)))
            case {"id": number, "method": _}:
                error = {"code": -32601, "message": "Method not found"}
                self._answer("200 OK", "application/json", _message(number, "error", json.dumps(error)))
            case _:
                self._answer("202 Accepted", "application/json", "")

    def _answer_event(self, number: Any, result: str, more: str = "") -> None:
        event = b"event: message\r\ndata: " + _message(number, "result", result).encode() + b"\r\n\r\n"
        head = _head("200 OK", "text/event-stream") + more.encode() + b"Transfer-Encoding: chunked\r\n\r\n"
        self._transport.write(b"%s%x\r\n%s\r\n0\r\n\r\n" % (head, len(event), event))

    def _answer(self, status: str, kind: str, body: str) -> None:
        self._transport.write(_head(status, kind) + f"Content-Length: {len(body)}\r\n\r\n{body}".encode())

    def _comment(self) -> None:
        if self.comments_s and not self._transport.is_closing():
            self._transport.write(b"8\r\n: ping\n\n\r\n")
            asyncio.get_running_loop().call_later(self.comments_s, self._comment)


def _head(status: str, kind: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nCache-Control: no-store\r\n".encode()


def _message(number: Any, key: str, value: str) -> str:
    return f'{{"jsonrpc":"2.0","id":{json.dumps(number)},"{key}":{value}}}'


async def serve(port: int) -> None:
    """Serve for as long as this process lives."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=100)
    await server.serve_forever()


def main() -> None:
    """Parse the command line, and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--comments", type=float, default=0.0)
    given = parser.parse_args()
    Connection.comments_s = given.comments
    asyncio.run(serve(given.port))


if __name__ == "__main__":
    main()
