"""AI clients in the benchmarks: one that talks to a bridge on pipes, and one that talks to the server directly."""

import http.client
import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

PATIENCE_S = 90.0
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
READ_SIZE = 1 << 20
PIECE_END = b"\r\n"


class SilentError(Exception):
    """No answer has come, or one that is no success."""


class Client(Protocol):
    """One session. Answers are texts, because no measurement should wait for a parser."""

    def open(self) -> None:
        """Begin the session."""

    def request(self, method: str, params: Mapping[str, Any]) -> bytes:
        """Send a request, and return the text of its answer."""
        ...

    def close(self) -> None:
        """End the session."""


def call(client: Client, tool: str, arguments: Mapping[str, Any]) -> float:
    """Call a tool, and return the seconds until its answer.

    Raises:
        SilentError: the call has not succeeded.
    """
    began = time.perf_counter()
    answer = client.request("tools/call", {"name": tool, "arguments": arguments})
    taken = time.perf_counter() - began
    if b'"result"' not in answer[:200] + answer[-200:] or b'"isError":true' in answer[-200:].replace(b" ", b""):
        raise SilentError(answer[:200].decode(errors="replace"))
    return taken


class BridgeClient:
    """A client that has started a bridge."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self._count = 0
        self._unread = bytearray()
        with (folder / "stderr.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(environment),
                cwd=folder,
                start_new_session=True,
                bufsize=0,
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._input, self._output = self.process.stdin.fileno(), self.process.stdout.fileno()

    def open(self) -> None:
        """See `Client`."""
        self.request("initialize", HELLO)
        self._send({"method": "notifications/initialized"})

    def request(self, method: str, params: Mapping[str, Any]) -> bytes:
        """See `Client`."""
        self._count += 1
        self._send({"id": self._count, "method": method, "params": params})
        mark = str(self._count).encode()
        while True:
            line = self._line()
            # A long answer is not parsed: only its beginning or its end can have the id.
            edges = line[:100] + line[-100:]
            if b'"id":' + mark + b"," in edges.replace(b" ", b"") or b'"id":' + mark + b"}" in edges.replace(b" ", b""):
                return line

    def close(self) -> None:
        """See `Client`."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(OSError):
            self.process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(3)
        with suppress(ProcessLookupError):
            # The session of its own that it was started with.
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def _send(self, message: Mapping[str, Any]) -> None:
        try:
            os.write(self._input, json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        except OSError as problem:
            raise SilentError(str(problem)) from None

    def _line(self) -> bytes:
        parts = [self._unread]
        while True:
            end = parts[-1].find(b"\n")
            if end >= 0:
                self._unread = parts[-1][end + 1 :]
                parts[-1] = parts[-1][:end]
                return b"".join(parts)
            if not select.select([self._output], [], [], PATIENCE_S)[0]:
                raise SilentError("no answer")
            data = os.read(self._output, READ_SIZE)
            if not data:
                raise SilentError("the bridge has ended")
            parts.append(bytearray(data))


class DirectClient:
    """A client of the server itself, on one kept connection."""

    def __init__(self, port: int, bearer: str | None = None) -> None:
        self._count = 0
        self._headers = f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        self._headers += "Accept: application/json, text/event-stream\r\n"
        self._headers += f"Authorization: Bearer {bearer}\r\n" if bearer else ""
        self._port = port
        self._connect()

    def open(self) -> None:
        """See `Client`."""
        self.request("initialize", HELLO)
        self._post({"method": "notifications/initialized"})

    def request(self, method: str, params: Mapping[str, Any]) -> bytes:
        """See `Client`."""
        self._count += 1
        return self._post({"id": self._count, "method": method, "params": params})

    def close(self) -> None:
        """See `Client`."""
        self._socket.close()

    def _connect(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self._port), 30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unread = b""

    def _post(self, message: Mapping[str, Any]) -> bytes:
        if select.select([self._socket], [], [], 0)[0]:
            # The server has closed the idle connection.
            self._socket.close()
            self._connect()
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._socket.sendall(f"{self._headers}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        while b"\r\n\r\n" not in self._unread:
            self._receive()
        head, _, self._unread = self._unread.partition(b"\r\n\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])
        }
        if "mcp-session-id" in headers and "Mcp-Session-Id" not in self._headers:
            self._headers += f"Mcp-Session-Id: {headers['mcp-session-id']}\r\n"
        if headers.get("transfer-encoding") == "chunked":
            return self._chunks()
        return self._take(int(headers.get("content-length", 0)))

    def _chunks(self) -> bytes:
        """Return the text of the last event of a chunked answer."""
        body = []
        while True:
            while PIECE_END not in self._unread:
                self._receive()
            size, _, self._unread = self._unread.partition(PIECE_END)
            body.append(self._take(int(size, 16)))
            self._take(len(PIECE_END))
            if int(size, 16) == 0:
                return b"".join(body).rpartition(b"data: ")[2].rstrip()

    def _take(self, size: int) -> bytes:
        parts, left = [self._unread], size - len(self._unread)
        while left > 0:
            data = self._socket.recv(READ_SIZE)
            if not data:
                raise SilentError("the server has closed the connection")
            parts.append(data)
            left -= len(data)
        whole = b"".join(parts)
        self._unread = whole[size:]
        return whole[:size]

    def _receive(self) -> None:
        data = self._socket.recv(READ_SIZE)
        if not data:
            raise SilentError("the server has closed the connection")
        self._unread += data


class LibraryClient:
    """A client of the server itself, by `http.client`, as programs without an SDK of MCP would ask it."""

    def __init__(self, port: int) -> None:
        self._count = 0
        self._headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def open(self) -> None:
        """See `Client`."""
        self.request("initialize", HELLO)
        self._post({"method": "notifications/initialized"})

    def request(self, method: str, params: Mapping[str, Any]) -> bytes:
        """See `Client`."""
        self._count += 1
        return self._post({"id": self._count, "method": method, "params": params})

    def close(self) -> None:
        """See `Client`."""
        self._connection.close()

    def _post(self, message: Mapping[str, Any]) -> bytes:
        self._connection.request("POST", "/mcp", json.dumps({"jsonrpc": "2.0", **message}), self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if (session := answer.headers["Mcp-Session-Id"]) is not None:
            self._headers["Mcp-Session-Id"] = session
        return body.rpartition(b"data: ")[2].rstrip()
