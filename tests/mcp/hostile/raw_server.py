"""An MCP server by hand: it speaks HTTP well enough to be started, and answers calls with any bytes.

raw_server.py PORT PLAYS JOURNAL

A request whose params, or whose arguments, have a `play` is answered by the play of this name in the file PLAYS. A play
is a list of steps. Each is a text in Latin-1 to be sent, in which @ID@ stands for the id of the request, or one of the
words "close", "reset", "hold" (keep the connection open and send nothing more), "drip" (send what follows byte by byte)
and "flood" (send the next text until the client is gone). Every request is noted in JOURNAL.
"""

import contextlib
import json
import os
import socket
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any

DRIP_S = 0.002

TOOLS = [
    {"name": "write", "inputSchema": {"type": "object"}},
    {"name": "look", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}},
]

Json = dict[str, Any]


class Connection:
    """A connection of a client."""

    def __init__(self, ours: socket.socket, plays: Path, journal: Path) -> None:
        self._socket = ours
        self._file = ours.makefile("rb")
        self._plays, self._journal = plays, journal

    def serve(self) -> None:
        """Answer requests up to the end of the connection."""
        with contextlib.suppress(OSError, ValueError):
            while self._serve_request():
                pass
        with contextlib.suppress(OSError):
            self._socket.close()

    def _serve_request(self) -> bool:
        line = self._file.readline().decode("latin-1")
        if not line:
            return False
        headers = {}
        while (each := self._file.readline().decode("latin-1").strip()) != "":
            name, _, value = each.partition(":")
            headers[name.lower()] = value.strip()
        body = self._file.read(int(headers.get("content-length", 0)))
        method, path, _ = line.split()
        if path == "/health":
            return self._json(200, {"name": "raw-server", "version": "1"})
        if method != "POST":
            return self._json(405, {})
        return self._answer(json.loads(body), headers)

    def _answer(self, message: Json, headers: dict[str, str]) -> bool:
        method, params = message.get("method"), message.get("params") or {}
        play = params.get("play") or (params.get("arguments") or {}).get("play")
        with self._journal.open("a") as file:
            said = {"method": method, "play": play, "pid": os.getpid(), "bearer": headers.get("authorization")}
            file.write(json.dumps(said) + "\n")
        if "id" not in message:
            return self._json(202, None)
        if play is not None:
            steps = json.loads(self._plays.read_text())[play]
            return self._perform(steps, json.dumps(message["id"]))
        results: dict[str, Json] = {
            "initialize": {
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}, "resources": {}},
                "serverInfo": {"name": "raw", "version": "1"},
            },
            "tools/list": {"tools": TOOLS},
            "resources/list": {"resources": []},
            "resources/templates/list": {"resourceTemplates": []},
            "tools/call": {"content": [{"type": "text", "text": "good"}]},
        }
        session = {"Mcp-Session-Id": "raw"} if method == "initialize" else {}
        return self._json(200, {"jsonrpc": "2.0", "id": message["id"], "result": results[str(method)]}, session)

    def _json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> bool:
        text = b"" if value is None else json.dumps(value).encode()
        lines = [f"HTTP/1.1 {status} X", "Content-Type: application/json", f"Content-Length: {len(text)}"]
        lines += [f"{name}: {each}" for name, each in (headers or {}).items()]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode() + text)
        return True

    def _perform(self, steps: list[Any], identifier: str) -> bool:
        """Perform a play. Returns whether the connection goes on."""
        drips = False
        for place, step in enumerate(steps):
            if step == "close":
                return False
            if step == "reset":
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return False
            if step == "hold":
                return bool(self._file.read(1)) and False
            if step == "drip":
                drips = True
            elif step == "flood":
                while True:
                    self._socket.sendall(steps[place + 1].encode("latin-1") * 1000)
            else:
                data = step.replace("@ID@", identifier).encode("latin-1")
                for piece in [data[at : at + 1] for at in range(len(data))] if drips else [data]:
                    self._socket.sendall(piece)
                    time.sleep(DRIP_S if drips else 0)
        return True


def main(port: int, plays: Path, journal: Path) -> None:
    """Serve until the end of the process."""
    with socket.create_server(("127.0.0.1", port)) as server:
        while True:
            ours, _ = server.accept()
            ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=Connection(ours, plays, journal).serve, daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
