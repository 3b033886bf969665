"""The bridge as a process on pipes, for the adapter: each message goes to the stream that it belongs to."""

import contextlib
import itertools
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

from tests.e2e.home import Home

SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"

Json = dict[str, Any]


class Stream:
    """The messages for one HTTP exchange, in order. None is the end of the process."""

    def __init__(self, request: Json | None = None) -> None:
        self.messages: queue.SimpleQueue[Json | None] = queue.SimpleQueue()
        self.original_id = None if request is None else request["id"]
        meta = {} if request is None else (request.get("params") or {}).get("_meta") or {}
        self.progress_token = meta.get("progressToken")


class StdioProcess:
    """One bridge. Ids may be used by several clients at once: each request gets one of its own, if asked for."""

    def __init__(self, home: Home, kind: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "supervisor", "mcp", kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=home.environment,
            cwd=home.project(),
        )
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._streams: dict[Any, Stream] = {}
        self.unasked = Stream()
        """Messages that come while no request of the client runs."""
        self.faults: list[str] = []
        """Lines of the bridge that are no messages."""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def is_idle(self) -> bool:
        """Return whether no request of the client runs."""
        return not self._streams

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a notification or an answer."""
        with self._lock, contextlib.suppress(BrokenPipeError, ValueError):
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def begin(self, request: Json, *, new_id: bool) -> tuple[Any, Stream]:
        """Send a request, and return the id that the bridge has seen, and the stream of what follows."""
        stream = Stream(request)
        identifier = f"adapter-{next(self._ids)}" if new_id else request["id"]
        self._streams[identifier] = stream
        self.send({**request, "id": identifier})
        return identifier, stream

    def cancel(self, identifier: Any) -> None:
        """Cancel a request whose client has closed its connection."""
        if self._streams.pop(identifier, None) is not None:
            self.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": identifier}})

    def close(self) -> None:
        """End the input, and wait for the end of the process."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            code = self._process.wait(10)
        finally:
            self._process.kill()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        assert code == 0, code
        assert not self.faults, self.faults

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                message = json.loads(line)
                assert message["jsonrpc"] == "2.0"
            except (ValueError, KeyError, TypeError, AssertionError):
                self.faults.append(repr(line))
            else:
                self._route(message)
        for stream in [*self._streams.values(), self.unasked]:
            stream.messages.put(None)

    def _route(self, message: Json) -> None:
        if "method" not in message:
            stream = self._streams.pop(message["id"], None)
            if stream is not None:
                stream.messages.put({**message, "id": stream.original_id})
            return
        params = message.get("params") or {}
        meta = params.get("_meta") or {}
        if SUBSCRIPTION in meta:
            stream = self._streams.get(meta[SUBSCRIPTION])
            if stream is not None:
                own = {**meta, SUBSCRIPTION: stream.original_id}
                stream.messages.put({**message, "params": {**params, "_meta": own}})
            return
        running = list(self._streams.values())
        token = params.get("progressToken")
        fitting = [each for each in running if token is not None and each.progress_token == token]
        # What belongs to no request in particular is sent with the latest one, as servers may.
        for stream in (fitting or running or [self.unasked])[-1:]:
            stream.messages.put(message)
