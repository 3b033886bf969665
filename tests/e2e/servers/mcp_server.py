"""A small MCP server over streamable HTTP, in both eras, for stories about the bridge.

    mcp_server.py PORT [--json] [--pretty] [--legacy-only] [--tools NAME,...] [--slow-start SECONDS] [--journal FILE]
                       [--version VERSION]

Each call of a tool is a line in the journal, so that a test sees whether a call was executed, and how often.
"""

import argparse
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

VERSION = "1.0"
MODERN = "2026-07-28"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


class Server(ThreadingHTTPServer):
    """The state that all requests share."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.sessions: dict[str, dict[str, Any]] = {}
        self.streams: list[Handler] = []
        self.answers: dict[Any, Any] = {}
        self.answered = threading.Condition()
        self.cancelled: set[Any] = set()
        super().__init__(("127.0.0.1", options.port), Handler)

    def journal(self, **entry: Any) -> None:
        """Note what was done."""
        if self.options.journal:
            with Path(self.options.journal).open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")

    def tools(self) -> list[dict[str, Any]]:
        """Return the tools, and one for each name on the command line."""
        properties = {"where": {"type": "string", "x-mcp-header": "Where"}}
        properties |= {"word": {"type": "string"}, "seconds": {"type": "number"}}
        schema = {"type": "object", "properties": properties}
        found: list[dict[str, Any]] = [{"name": name, "inputSchema": schema} for name in ("write", "image", "ask")]
        found.append({"name": "look", "inputSchema": schema, "annotations": {"readOnlyHint": True}})
        return found + [{"name": name, "inputSchema": schema} for name in self.options.tools.split(",") if name]


class Handler(BaseHTTPRequestHandler):
    """A connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, *_: Any) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        if self.path == "/health":
            self._json(200, {"name": "mcp-server", "version": self.server.options.version})
        elif self._session() is None:
            self._json(404, _error(None, -32600, "Session not found"))
        else:
            self._open_stream()
            self.server.streams.append(self)
            threading.Event().wait()

    def do_DELETE(self) -> None:
        gone = self.server.sessions.pop(self.headers.get("Mcp-Session-Id", ""), None)
        self.server.journal(deleted=gone is not None)
        self._json(200 if gone is not None else 404, {})

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        method = message.get("method")
        if method is None:
            with self.server.answered:
                self.server.answers[message["id"]] = message
                self.server.answered.notify_all()
            self._accepted()
        elif self.headers.get("MCP-Protocol-Version") == MODERN:
            self._modern(message, method)
        elif method == "initialize":
            session = secrets.token_hex(8)
            self.server.sessions[session] = message["params"]
            self.server.journal(initialize=message["params"]["clientInfo"]["name"])
            self._result(message, self._hello(message["params"]["protocolVersion"]), {"Mcp-Session-Id": session})
        elif self._session() is None:
            self._json(404, _error(None, -32600, "Session not found"))
        elif "id" not in message:
            if method == "notifications/cancelled":
                self.server.cancelled.add(message["params"]["requestId"])
            self.server.journal(notification=method)
            self._accepted()
        else:
            self._serve(message, method)

    # --- the eras ---

    def _modern(self, message: dict[str, Any], method: str) -> None:
        if self.server.options.legacy_only:
            self._json(400, {"error": {"code": "UNSUPPORTED"}})
            return
        name = message.get("params", {}).get("name")
        if self.headers.get("Mcp-Method") != method or (name and self.headers.get("Mcp-Name") != name):
            self._json(400, _error(message["id"], -32020, "headers and body differ"))
        elif method == "server/discover":
            self._result(message, {**self._hello(MODERN), "supportedVersions": [MODERN], "resultType": "complete"})
        elif method == "subscriptions/listen":
            self._open_stream()
            meta = {SUBSCRIPTION: message["id"]}
            accepted = {"_meta": meta, "notifications": message["params"]["notifications"]}
            self._event({"method": "notifications/subscriptions/acknowledged", "params": accepted})
            self.server.journal(listens=message["id"])
            self._event({"method": "notifications/tools/list_changed", "params": {"_meta": meta}})
            threading.Event().wait()
        else:
            self._serve(message, method)

    def _hello(self, version: str) -> dict[str, Any]:
        capabilities = {"tools": {}, "logging": {}}
        server = {"name": "mcp-server", "version": self.server.options.version}
        return {"protocolVersion": version, "capabilities": capabilities, "serverInfo": server}

    def _serve(self, message: dict[str, Any], method: str) -> None:
        if method == "tools/list":
            self._result(message, {"tools": self.server.tools()})
        elif method == "tools/call":
            self._call(message, message["params"]["name"], message["params"].get("arguments", {}))
        elif method in ("logging/setLevel", "resources/subscribe"):
            self.server.journal(setting=message["params"])
            self._result(message, {})
        else:
            self._json(200, _error(message["id"], -32601, "no such method"))

    def _call(self, message: dict[str, Any], name: str, arguments: dict[str, Any]) -> None:
        self.server.journal(tool=name, word=arguments.get("word"), where=self.headers.get("Mcp-Param-Where"))
        end = time.monotonic() + arguments.get("seconds", 0)
        while time.monotonic() < end and message["id"] not in self.server.cancelled:
            time.sleep(0.01)
        text = {"type": "text", "text": str(arguments.get("word"))}
        if name == "image":
            text = {"type": "image", "mimeType": "image/png", "data": "QUJD" * (arguments["bytes"] // 4)}
        if name == "ask":
            self._open_stream()
            asked = secrets.token_hex(4) if "id" not in arguments else arguments["id"]
            self._event({"id": asked, "method": "roots/list"})
            with self.server.answered:
                self.server.answered.wait_for(lambda: asked in self.server.answers, 30)
            answer = self.server.answers[asked]
            self._event({"id": message["id"], "result": {"content": [{"type": "text", "text": json.dumps(answer)}]}})
            self._end_stream()
            return
        self._result(message, {"content": [text], "isError": False})
        self.server.journal(answered=arguments.get("word"))

    # --- HTTP ---

    def _session(self) -> dict[str, Any] | None:
        return self.server.sessions.get(self.headers.get("Mcp-Session-Id", ""))

    def _result(self, message: dict[str, Any], result: Any, headers: dict[str, str] | None = None) -> None:
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": result}
        if self.server.options.json:
            self._json(200, answer, headers)
            return
        self._open_stream(headers)
        self._event(answer)
        self._end_stream()

    def _json(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        text = json.dumps(body, indent=2 if self.server.options.pretty else None).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _accepted(self) -> None:
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _open_stream(self, headers: dict[str, str] | None = None) -> None:
        self.send_response(200)
        for name, value in {"Content-Type": "text/event-stream", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _event(self, message: dict[str, Any]) -> None:
        data = b"event: message\r\ndata: " + json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\r\n\r\n"
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _end_stream(self) -> None:
        self.wfile.write(b"0\r\n\r\n")


def _error(identifier: Any, code: int, text: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identifier, "error": {"code": code, "message": text}}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    for flag in ("--json", "--pretty", "--legacy-only"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--tools", default="")
    parser.add_argument("--slow-start", type=float, default=0)
    parser.add_argument("--journal")
    parser.add_argument("--version", default=VERSION)
    given = parser.parse_args()
    time.sleep(given.slow_start)
    Server(given).serve_forever()
