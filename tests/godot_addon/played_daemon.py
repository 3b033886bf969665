"""A daemon for the dock. A test sets the servers, editors and clients of the daemon, and has it publish events."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from supervisor.client import endpoint
from tests.transcript.stage import ENDPOINT

Values = Mapping[str, Any]
NO_SERVER = {"code": -32000, "message": "no server of this id", "data": {"code": "NOT_FOUND", "hint": ""}}
LOG = ["INFO:     Started server process", "INFO:     Application startup complete."]


def server(name: str, **more: Any) -> dict[str, Any]:
    """Return a server of the protocol, ready unless more is said."""
    return {
        "id": name, "kind": name.partition("@")[0], "version": "4.3.1", "project": None, "state": "ready",
        "origin": "spawned", "process": {"pid": 4300, "started_at": 1.0}, "root_pid": 4300,
        "ports": {"http": 8000, "ws": 9500}, "url": "http://127.0.0.1:8000/mcp", "connect": [], "owners": [],
        "sessions": 1, "leases": [], "restarts": 0, "since": 1.0, "relocated": [], "failure": None,
        "reap": {"verdict": "keep", "reasons": ["an editor is alive"], "due_in_s": None}, "log": "/tmp/server.log",
        "until_stopped": False, "relocated_more": 0, "version_source": "recipe", "version_why": None, "notes": [],
        "recipe_changes": [], "by_client": False, "bridges": [], "bearer": None, "gate": "off", "pin": None,
        "calls": [], "calls_more": 0, **more,
    }  # fmt: skip


def owner(name: str, pid: int, **more: Any) -> dict[str, Any]:
    return {"editor": name, "pid": pid, "liveness": "alive", "leaving": False, "client": None, **more}


def call(tool: str, **more: Any) -> dict[str, Any]:
    return {
        "client": "claude-code-1", "name": "claude-code 2.1.0", "pid": 4400, "server": "godot-ai", "tool": tool,
        "state": "running", "since": 1700000000.0, "gated": False, "editor_pid": None, "project": None, **more,
    }  # fmt: skip


def _error(data: Values) -> Values:
    return {"code": -32000, "message": data["message"], "data": data}


class PlayedDaemon:
    """Answers one client at a time. `received` has its requests, and `me` the editor that has attached."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.received: list[dict[str, Any]] = []
        self.me: dict[str, Any] = {}
        self.servers: dict[str, dict[str, Any]] = {}
        self.editors: dict[str, dict[str, Any]] = {}
        self.clients: dict[str, dict[str, Any]] = {}
        self.history: list[dict[str, Any]] = []
        self.refusals: dict[str, Values] = {}
        """By method: the error data with which a request is refused. `message` is the error's message."""
        self.silent: set[str] = set()
        """Methods that are accepted, and then not answered."""
        self._seq = 0
        self._lock = threading.Lock()
        # Answers and events come from two threads.
        self._connection: socket.socket | None = None
        self._subscription: Any = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self.home.mkdir(mode=0o700, exist_ok=True)
        transports = ({"kind": "tcp", "host": "127.0.0.1", "port": self._listener.getsockname()[1]},)
        endpoint.publish(self.home / "endpoint.json", ENDPOINT._replace(transports=transports))
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.end()

    def end(self) -> None:
        """End as a daemon that is stopped does."""
        if not self._thread.is_alive():
            return
        (self.home / "endpoint.json").unlink()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)

    def publish(self, event: str, *, server: str | None = None, editor: str | None = None, **details: Any) -> None:
        """Send an event to the client that has subscribed."""
        self.send(self._event(event, server, editor, details))

    def publish_often(self, count: int, event: str, *, server: str, **details: Any) -> None:
        """Send many events at once."""
        self.send(*(self._event(event, server, None, details) for _ in range(count)))

    def _event(self, event: str, server: str | None, editor: str | None, details: Values) -> Values:
        self._seq += 1
        params = {
            "id": self._subscription, "seq": self._seq, "at": time.time(), "mono": 1.0, "level": "info",
            "event": event, "server": server, "editor": editor, "details": details,
        }  # fmt: skip
        return {"method": "event", "params": params}

    def set(self, *servers: dict[str, Any]) -> None:
        """Have these servers from now on, and publish that they, and those that have gone, have changed."""
        gone = self.servers.keys() - {each["id"] for each in servers}
        self.servers = {each["id"]: each for each in servers}
        for name in self.servers:
            self.publish("server.state", server=name, launch="1", was="starting", now=self.servers[name]["state"])
        for name in gone:
            self.publish("server.gone", server=name, launch="1", was="ready")

    def send(self, *frames: Values) -> None:
        """Send frames, all at once."""
        data = b"".join(json.dumps({"jsonrpc": "2.0", **frame}).encode() + b"\n" for frame in frames)
        with self._lock:
            assert self._connection is not None
            self._connection.sendall(data)

    def asked(self, method: str) -> list[Any]:
        """Return the params of all requests of this method."""
        return [frame["params"] for frame in self.received if frame["method"] == method]

    def progress(self, method: str, **details: Any) -> None:
        """Tell the progress of the last request of this method."""
        frame = self._last(method)
        params = {"id": frame["id"], "request": frame["params"].get("request"), **details}
        self.send({"method": "progress", "params": params})

    def refuse_last(self, method: str, data: Values) -> None:
        """Answer the last request of this method with an error."""
        self.send({"id": self._last(method)["id"], "error": _error(data)})

    def _last(self, method: str) -> dict[str, Any]:
        return next(frame for frame in reversed(self.received) if frame["method"] == method)

    def _serve(self) -> None:
        while True:
            try:
                self._connection, _ = self._listener.accept()
            except OSError:
                return
            with self._connection, contextlib.suppress(OSError):
                for line in self._connection.makefile("rb"):
                    self._answer(json.loads(line))

    def _answer(self, frame: dict[str, Any]) -> None:
        self.received.append(frame)
        method, params, identifier = frame["method"], frame["params"], frame["id"]
        if method.startswith("server.") and method not in ("server.get", "server.history"):
            accepted = {"id": identifier, "request": params.get("request"), "joined": False, "deadline_s": 180}
            self.send({"method": "accepted", "params": accepted})
        if method in self.refusals:
            self.send({"id": identifier, "error": _error(self.refusals[method])})
        elif method == "server.get" and params["server"] not in self.servers:
            self.send({"id": identifier, "error": NO_SERVER})
        elif method not in self.silent:
            self.send({"id": identifier, "result": self._result(method, params)})
        if method == "events.subscribe":
            self._subscription = identifier

    def _result(self, method: str, params: dict[str, Any]) -> Any:
        if method == "editor.attach":
            self.me = {**params, "id": "my-game-1", "state": "ready", "busy": None, "servers": []}
            self.editors["my-game-1"] = self.me
            self.publish("editor.attached", editor="my-game-1", pid=params["pid"], project=params["project"])
        daemon = {"pid": 4200, "version": "0.1.0", "home": str(self.home), "notes": []}
        snapshot = {
            "daemon": daemon, "editors": [*self.editors.values()], "servers": [*self.servers.values()],
            "clients": [*self.clients.values()], "orphans": [], "left_out": 0,
        }  # fmt: skip
        named = self.servers.get(params.get("server") or params.get("kind"), {})
        instance = {"instance_id": ENDPOINT.instance_id, "seq": self._seq}
        results: dict[str, Any] = {
            "hello": {"protocol": 1, **instance, "version": "0.1.0", "capabilities": []},
            "status": snapshot,
            "editor.attach": self.me,
            "events.subscribe": {**instance, "snapshot": snapshot},
            "server.get": named,
            "server.ensure": named,
            "server.restart": named,
            "server.stop": {**named, "state": "stopped"},
            "server.history": {"servers": self.history},
            "logs.read": {"lines": LOG, "log": "/tmp/server.log", "ended": False},
        }
        return results.get(method, {})
