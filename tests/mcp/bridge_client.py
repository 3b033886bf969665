"""An AI client of the bridge: a real process on real pipes, every line of which has to be a message."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

PATIENCE_S = 60.0

LEGACY = "2025-11-25"
HELLO = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


class BridgeClient:
    """Starts the bridge, and says what an AI client says."""

    def __init__(
        self,
        *words: str,
        environment: Mapping[str, str] = os.environ,
        folder: str | None = None,
        launcher: Sequence[str] = (),
    ) -> None:
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [*launcher, sys.executable, "-P", "-m", "supervisor", "mcp", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            cwd=folder,
        )
        self.lines: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.notices: list[dict[str, Any]] = []
        self.unread_answers: dict[Any, dict[str, Any]] = {}
        self._ids = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def write(self, data: bytes) -> None:
        """Send raw bytes."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message."""
        self.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def ask(self, method: str, params: Mapping[str, Any] | None = None, identifier: Any = None) -> Any:
        """Send a request, and return its id."""
        self._ids += 1
        identifier = self._ids if identifier is None else identifier
        self.send({"id": identifier, "method": method, "params": params or {}})
        return identifier

    def answer(self, identifier: Any, patience_s: float = PATIENCE_S) -> dict[str, Any]:
        """Wait for the answer to a request. Other messages are kept."""
        end = time.monotonic() + patience_s
        while identifier not in self.unread_answers:
            self._take(end)
        return self.unread_answers.pop(identifier)

    def notice(self, method: str, patience_s: float = PATIENCE_S) -> dict[str, Any]:
        """Wait for a notification or a request of this method."""
        end = time.monotonic() + patience_s
        while True:
            for place, message in enumerate(self.notices):
                if message["method"] == method:
                    return self.notices.pop(place)
            self._take(end)

    def call(self, method: str, params: Mapping[str, Any] | None = None, patience_s: float = PATIENCE_S) -> Any:
        """Send a request, and return its result."""
        answer = self.answer(self.ask(method, params), patience_s)
        assert "result" in answer, answer
        return answer["result"]

    def tool(self, name: str, patience_s: float = PATIENCE_S, **arguments: Any) -> dict[str, Any]:
        """Call a tool, and return its result."""
        result: dict[str, Any] = self.call("tools/call", {"name": name, "arguments": arguments}, patience_s)
        return result

    def begin(self) -> dict[str, Any]:
        """Say hello as clients of the legacy era do, and return the answer."""
        result: dict[str, Any] = self.call("initialize", HELLO)
        self.send({"method": "notifications/initialized"})
        return result

    def close(self) -> int:
        """End the input, and return the exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(10)

    def kill(self) -> None:
        """Leave nothing behind."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def _take(self, end: float) -> None:
        try:
            message = self.lines.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            raise AssertionError(f"the bridge did not answer in time; notices: {self.notices}") from None
        if "method" in message:
            self.notices.append(message)
        else:
            self.unread_answers[message.get("id")] = message
