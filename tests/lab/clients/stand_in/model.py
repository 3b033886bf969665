"""A stand-in for the model of an AI client: the test decides which tool it calls, and sees what the client tells it."""

import contextlib
import json
import queue
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.lab.clients.stand_in.dialects import Call, Dialect, Json, Reply, Tool, find_dialect, offered_tools

PATIENCE_S = 120.0

ENDED = "done"
"""What the model says when the test has no more calls."""

WAITING_TOOLS: Mapping[str, Mapping[str, Any]] = {
    "WaitForMcpServers": {},
    "exec_command": {"cmd": "sleep 1"},
    "shell": {"command": ["sleep", "1"]},
}
"""Tools by which the model lets time pass, if the server's tools are not offered yet, and their arguments."""

WAITS_MAX = 20


class StandInModel:
    """Answers a client's requests to its model. `marker` is in the names of the tools that the test calls."""

    def __init__(self, marker: str) -> None:
        self._marker = marker
        self._steps: queue.SimpleQueue[tuple[str, Mapping[str, Any]] | None] = queue.SimpleQueue()
        self._shown: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._pending: Call | str | None = None
        """The last answer, which a client that repeats its request gets again."""
        self._calls = self._waits = 0
        self._results_seen = 0
        self.offered: list[str] = []
        """The names of the server's tools in the last request that had any."""
        self.begun = threading.Event()
        """Set when the client has asked the model for the first time, with the server's tools."""
        self.requests: list[tuple[str, Json]] = []
        model = self

        class Handler(_Handler):
            def reply_to(self, path: str, body: Json) -> Reply:
                return model.reply(path, body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def begin_call(self, tool: str, arguments: Mapping[str, Any]) -> None:
        """Let the model call a tool, whose name at the client ends with this one."""
        self._steps.put((tool, arguments))

    def shown(self, patience_s: float = PATIENCE_S) -> Any:
        """Wait for the client to tell the result of the call, and return it as the model sees it."""
        try:
            return self._shown.get(timeout=patience_s)
        except queue.Empty:
            raise TimeoutError(f"the model was told no result within {patience_s:g} s") from None

    def finish(self) -> None:
        """Let the model say that it is done, so that the client ends."""
        self._steps.put(None)

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()

    def reply(self, path: str, body: Json) -> Reply:
        """Return the answer to a request. Blocks until the test says what the model does."""
        self.requests.append((path, body))
        dialect = find_dialect(path)
        if dialect is None:
            return _document({"input_tokens": 10, "totalTokens": 10, "object": "list", "data": [], "models": []})
        tools = list(offered_tools(body.get("tools")))
        ours = [tool for tool in tools if self._marker in tool.whole_name.lower()]
        if not ours and not self.begun.is_set():
            return self._wait_for_tools(body, dialect, tools)
        if not tools:
            return dialect.answer(body, "ok")
        with self._lock:
            return dialect.answer(body, self._next_answer(dialect.results(body), ours))

    def _wait_for_tools(self, body: Json, dialect: Dialect, tools: list[Tool]) -> Reply:
        """Return an answer that lets time pass: some clients ask the model before servers have listed their tools."""
        waiting = next((tool for tool in tools if tool.name in WAITING_TOOLS), None)
        if waiting is None or self._waits >= WAITS_MAX:
            return dialect.answer(body, "ok")
        self._waits += 1
        self._calls += 1
        self._results_seen = self._calls
        return dialect.answer(body, Call(waiting, WAITING_TOOLS[waiting.name], self._calls))

    def _next_answer(self, results: list[Any], ours: list[Tool]) -> Call | str:
        self.offered = [tool.whole_name for tool in ours]
        self.begun.set()
        if len(results) > self._results_seen:
            self._results_seen, self._pending = len(results), None
            self._shown.put(results[-1])
        if self._pending is None:
            step = self._steps.get(timeout=PATIENCE_S * 5)
            self._pending = ENDED if step is None else self._call(*step, ours)
        return self._pending

    def _call(self, name: str, arguments: Mapping[str, Any], ours: list[Tool]) -> Call:
        self._calls += 1
        found = next((tool for tool in ours if tool.name.endswith(name)), None)
        return Call(found or Tool(name), arguments, self._calls)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Print nothing."""

    def reply_to(self, path: str, body: Json) -> Reply:
        raise NotImplementedError

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        about = {"id": "stand-in", "object": "model", "name": "stand-in", "display_name": "stand-in", "type": "model"}
        self._send(_document({"object": "list", "data": [about], "models": [], "has_more": False}))

    def do_POST(self) -> None:
        try:
            body = json.loads(self._body())
        except ValueError:
            body = {}
        with contextlib.suppress(OSError, queue.Empty):
            self._send(self.reply_to(self.path, body))

    def _body(self) -> bytes:
        if "chunked" not in (self.headers.get("Transfer-Encoding") or ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().strip() or b"0", 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _send(self, reply: Reply) -> None:
        self.send_response(200)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(reply.body)
        self.close_connection = True


def _document(content: Json) -> Reply:
    return Reply(json.dumps(content).encode())
