"""A URL in front of the bridge, because the conformance suite tests URLs: streamable HTTP in both eras.

Each session of the legacy era has a bridge of its own; all requests of the modern era have one bridge. The adapter does
what HTTP itself demands: headers, statuses, sessions, the Host. The bridge says everything else.
"""

import base64
import binascii
import contextlib
import json
import queue
import select
import socket
import sys
import threading
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from supervisor.mcp.core.messages.headers import parameter_headers
from tests.e2e.home import Home
from tests.mcp.conformance.stdio_process import Json, StdioProcess, Stream

MODERN = "2026-07-28"
META_VERSION = "io.modelcontextprotocol/protocolVersion"
HEADER_MISMATCH, INVALID_REQUEST = -32020, -32600
STATUSES = {-32700: 400, -32600: 400, -32602: 400, -32020: 400, -32021: 400, -32022: 400, -32601: 404}
"""The statuses of errors, as MCP demands them of modern servers."""
NAMES = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
RETRY_MS = 100
LOOK_S = 0.05
"""How often a handler looks whether its client has closed the connection."""


class _Server(ThreadingHTTPServer):
    """Says nothing of clients that close their connections."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing, unless the adapter has a defect."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Adapter:
    """Serves on a port of its own until `close`. `before_request` is called while no request runs."""

    def __init__(self, home: Home, kind: str, before_request: Callable[[], None] = lambda: None) -> None:
        self._home, self._kind = home, kind
        self.before_request = before_request
        self.sessions: dict[str, StdioProcess] = {}
        self._modern: StdioProcess | None = None
        self._schemas: dict[str, Any] | None = None
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), type("Bound", (_Handler,), {"adapter": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/mcp"

    def open_session(self) -> tuple[str, StdioProcess]:
        """Start a bridge, and return it and the id of its session."""
        name = uuid.uuid4().hex
        self.sessions[name] = StdioProcess(self._home, self._kind)
        return name, self.sessions[name]

    def modern(self) -> StdioProcess:
        """Return the bridge of the modern era."""
        with self._lock:
            if self._modern is None:
                self._modern = StdioProcess(self._home, self._kind)
            return self._modern

    def run_before_request(self) -> None:
        """Call `before_request`, unless a request runs."""
        with self._lock:
            bridges = [*self.sessions.values(), *([self._modern] if self._modern else [])]
            if all(bridge.is_idle for bridge in bridges):
                self.before_request()

    def schema_of(self, tool: str, meta: Json) -> Any:
        """Return the schema of a tool, which says what headers a call has."""
        if self._schemas is None:
            params = {"_meta": meta}
            request = {"jsonrpc": "2.0", "id": "schemas", "method": "tools/list", "params": params}
            answer = self.modern().begin(request, new_id=True)[1].messages.get(timeout=60)
            assert answer is not None
            self._schemas = {each["name"]: each["inputSchema"] for each in answer["result"]["tools"]}
        return self._schemas.get(tool)

    def close(self) -> None:
        """End all bridges. Raises if one of them has not ended well, or has written what is no message."""
        self._server.shutdown()
        self._server.server_close()
        for bridge in [*self.sessions.values(), *([self._modern] if self._modern else [])]:
            bridge.close()


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    adapter: Adapter

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (as the base class has it)
        """Say nothing."""

    def do_GET(self) -> None:
        """Send what the bridge says of its own accord."""
        bridge = self._session()
        if bridge is not None:
            self._begin_stream({})
            self._pass_on(bridge, None, bridge.unasked)

    def do_DELETE(self) -> None:
        """End a session."""
        bridge = self._session()
        if bridge is not None:
            del self.adapter.sessions[self.headers["mcp-session-id"]]
            bridge.close()
            self._answer(200)

    def do_POST(self) -> None:
        """Pass on a message."""
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if not self._is_local():
            self._answer(403)
            return
        try:
            message = json.loads(body)
        except ValueError:
            self._refuse(None, -32700, "not JSON")
            return
        params = message.get("params") or {}
        meta = params.get("_meta") or {}
        if META_VERSION in meta or self.headers.get("mcp-protocol-version") == MODERN:
            self._pass_modern(message, meta)
        else:
            self._pass_legacy(message)

    # --- legacy ---

    def _session(self) -> StdioProcess | None:
        """Return the bridge of the session. Returns None after an answer, if there is none."""
        name = self.headers.get("mcp-session-id")
        bridge = self.adapter.sessions.get(name or "")
        if bridge is None:
            self._refuse(None, INVALID_REQUEST, "no such session", 405 if name is None else 404)
        return bridge

    def _pass_legacy(self, message: Json) -> None:
        headers = {}
        bridge: StdioProcess | None
        if message.get("method") == "initialize":
            headers["Mcp-Session-Id"], bridge = self.adapter.open_session()
        else:
            bridge = self._session()
            if bridge is None:
                return
        if "id" not in message or "method" not in message:
            bridge.send(message)
            self._answer(202)
            return
        self.adapter.run_before_request()
        identifier, stream = bridge.begin(message, new_id=False)
        self._begin_stream(headers)
        self._send_event("", f"id: {identifier}-0\nretry: {RETRY_MS}\n")
        self._pass_on(bridge, identifier, stream)

    # --- modern ---

    def _pass_modern(self, message: Json, meta: Json) -> None:
        if "id" not in message:
            self._answer(202)
            return
        mismatch = self._mismatch(message, meta)
        if mismatch is not None:
            self._refuse(message["id"], HEADER_MISMATCH, mismatch)
            return
        self.adapter.run_before_request()
        bridge = self.adapter.modern()
        identifier, stream = bridge.begin(message, new_id=True)
        first = self._next(bridge, identifier, stream)
        if first is None:
            return
        if "method" not in first:
            status = STATUSES.get(first["error"]["code"], 200) if "error" in first else 200
            self._answer(status, json.dumps(first).encode())
            return
        self._begin_stream({})
        self._send_message(first)
        self._pass_on(bridge, identifier, stream)

    def _mismatch(self, message: Json, meta: Json) -> str | None:
        """Return what the headers say otherwise than the body. Returns None if they say the same."""
        params = message.get("params") or {}
        method = message.get("method", "")
        wanted = {"mcp-method": method}
        if META_VERSION in meta:
            wanted["mcp-protocol-version"] = meta[META_VERSION]
        if method in NAMES and NAMES[method] in params:
            wanted["mcp-name"] = params[NAMES[method]]
        if method == "tools/call" and META_VERSION in meta:
            schema = self.adapter.schema_of(params.get("name", ""), meta)
            for path, header in parameter_headers(schema):
                if path[0] in (params.get("arguments") or {}):
                    wanted[f"mcp-param-{header}".lower()] = params["arguments"][path[0]]
        for name, value in wanted.items():
            if _decoded(self.headers.get(name)) != str(value):
                return f"{name} is not what the body says"
        return None

    # --- both ---

    def _is_local(self) -> bool:
        """Return whether the request is for this machine: pages of other sites must not reach it."""
        places = [self.headers.get("host", ""), self.headers.get("origin", "http://localhost").partition("//")[2]]
        return all((place.rpartition(":")[0] or place) in {"127.0.0.1", "localhost"} for place in places)

    def _next(self, bridge: StdioProcess, identifier: Any, stream: Stream) -> Json | None:
        """Wait for a message. Returns None if the client or the bridge has gone; the request is then cancelled."""
        while True:
            with contextlib.suppress(queue.Empty):
                return stream.messages.get(timeout=LOOK_S)
            if self._has_gone():
                if identifier is not None:
                    bridge.cancel(identifier)
                return None

    def _has_gone(self) -> bool:
        """Return whether the client has closed the connection."""
        try:
            return bool(select.select([self.connection], [], [], 0)[0]) and not self.connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def _pass_on(self, bridge: StdioProcess, identifier: Any, stream: Stream) -> None:
        """Send all messages of a stream, up to the answer."""
        while (message := self._next(bridge, identifier, stream)) is not None:
            if not self._send_message(message):
                return
            if "method" not in message:
                break
        with contextlib.suppress(OSError):
            self.wfile.write(b"0\r\n\r\n")

    def _begin_stream(self, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send_message(self, message: Json) -> bool:
        """Send a message as an event. Returns False if the client has gone."""
        return self._send_event(json.dumps(message))

    def _send_event(self, data: str, more: str = "") -> bool:
        event = f"{more}data: {data}\n\n".encode()
        try:
            self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
        except OSError:
            self.close_connection = True
            return False
        return True

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        if body:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, identifier: Any, code: int, reason: str, status: int = 400) -> None:
        error = {"jsonrpc": "2.0", "id": identifier, "error": {"code": code, "message": reason}}
        self._answer(status, json.dumps(error).encode())


def _decoded(value: str | None) -> str | None:
    """Return the value of a header. Returns None if there is none, or it cannot be decoded."""
    if value is not None:
        value = value.strip()
        if value.startswith("=?base64?") and value.endswith("?="):
            try:
                return base64.b64decode(value[9:-2], validate=True).decode()
            except (binascii.Error, ValueError):
                return None
    return value
