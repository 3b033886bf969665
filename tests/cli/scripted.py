"""A daemon that answers from a script, for tests of the command line."""

import json
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.client import endpoint
from supervisor.client.endpoint import Endpoint, ProtocolRange
from supervisor.errors import SupervisorError

Answer = Any | SupervisorError | Callable[[dict[str, Any]], Any]


@dataclass(frozen=True)
class Streaming:
    """An answer, and the notifications after it. They get the id of the request, unless they name another id.

    `hangs_up`: the connection ends after them.
    """

    answer: Any
    notices: Sequence[tuple[str, dict[str, Any]]] = ()
    hangs_up: bool = False


class Script:
    """What the daemon answers.

    `answers`: by method, a result, an error, or a function from params to a result. `progress`: sent before results.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.answers: dict[str, Answer] = {"server.list": {"servers": []}, "server.history": {"servers": []}}
        self.later: dict[str, Callable[[dict[str, Any]], object]] = {}
        """By method: called with the params. Such a request gets no answer, unless `after` has one for it."""
        self.after: dict[str, Any] = {}
        """By method: the answer to the request before this one, sent after the answer to this one."""
        self.progress: list[dict[str, Any]] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def params(self, method: str) -> dict[str, Any]:
        """Return the params of the only call of this method."""
        (found,) = self.all_params(method)
        return found

    def all_params(self, method: str) -> list[dict[str, Any]]:
        """Return the params of each call of this method, in order, without the `request` id of the command line."""
        return [
            {name: value for name, value in params.items() if name != "request"}
            for called, params in self.calls
            if called == method
        ]

    def replies(self, request: Mapping[str, Any]) -> Iterator[dict[str, Any] | None]:
        """Yield the messages to send. None ends the connection."""
        identifier, method, params = request["id"], request["method"], request["params"]
        self.calls.append((method, params))
        if method in self.later:
            for progress in self.progress:
                yield {"jsonrpc": "2.0", "method": "accepted", "params": {"id": identifier, "deadline_s": 60}}
                yield {"jsonrpc": "2.0", "method": "progress", "params": {"id": identifier, **progress}}
            self.later[method](params)
            return
        answer = self.answers[method]
        quiet = {"hello", "ping", "status", "server.list", "events.subscribe"}
        for progress in self.progress if method not in quiet else ():
            yield {"jsonrpc": "2.0", "method": "progress", "params": {"id": identifier, **progress}}
        result = answer(params) if callable(answer) else answer
        if isinstance(result, SupervisorError):
            yield {"jsonrpc": "2.0", "id": identifier, "error": result.to_wire()}
        elif isinstance(result, Streaming):
            yield {"jsonrpc": "2.0", "id": identifier, "result": result.answer}
            for name, notice in result.notices:
                yield {"jsonrpc": "2.0", "method": name, "params": {"id": identifier, **notice}}
            if result.hangs_up:
                yield None
        else:
            yield {"jsonrpc": "2.0", "id": identifier, "result": result}
        if method in self.after:
            outcome = self.after[method]
            answered = {"error": outcome.to_wire()} if isinstance(outcome, SupervisorError) else {"result": outcome}
            yield {"jsonrpc": "2.0", "id": identifier - 1, **answered}


@contextmanager
def scripted_daemon(home: Path, instance: str = "i-1", protocol: int = 1) -> Iterator[Script]:
    """Run a scripted daemon at the endpoint of this home until the end of the block."""
    script = Script(home)
    script.answers["hello"] = {"protocol": 1, "instance_id": instance, "version": "9.9.9", "capabilities": []}
    script.answers["ping"] = {}

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                for reply in script.replies(json.loads(line)):
                    if reply is None:
                        return
                    self.wfile.write(json.dumps(reply).encode() + b"\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as listener:
        listener.daemon_threads = True
        port = listener.server_address[1]
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        endpoint.publish(
            home / "endpoint.json",
            Endpoint(
                schema=1,
                pid=4211,
                start_token="t",
                instance_id=instance,
                version="9.9.9",
                protocol=ProtocolRange(protocol, protocol),
                token="secret",
                transports=({"kind": "tcp", "host": "127.0.0.1", "port": port},),
            ),
        )
        try:
            yield script
        finally:
            listener.shutdown()
            thread.join()
