"""Plays a Godot editor with a real godot-ai, as its plugin does, run by the interpreter of the server's environment.

usage: playing_editor.py RECORD WS_PORT PROJECT [SUFFIX]

The program opens a session, says "open", and executes all commands: it answers with its project. A session that is
lost is opened again. RECORD is the file of the server's secrets, or "-" for a server before 4.0. Ends with its input.
"""

import contextlib
import json
import os
import secrets
import sys
import threading
import time
from pathlib import Path
from typing import Any

from godot_ai import __version__
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

PAUSE_S = 0.5


def about(project: str, suffix: str) -> dict[str, Any]:
    return {
        "session_id": f"game{suffix}@{os.getpid():016x}",
        "godot_version": "4.7-stable (official)" if suffix != "-old" else "4.6.3",
        "project_path": project,
        "plugin_version": __version__,
        "readiness": "ready",
        "editor_pid": os.getpid(),
        "server_launch_mode": "external",
    }


def authenticate(connection: ClientConnection, record: str, metadata: dict[str, Any]) -> None:
    if record == "-":
        connection.send(json.dumps({"type": "handshake", **metadata}))
    else:
        from godot_ai.protocol.envelope import WS_PROTOCOL_VERSION
        from godot_ai.transport.websocket import websocket_client_proof

        capability = json.loads(Path(record).read_text(encoding="utf-8"))["websocket"]
        client_nonce = secrets.token_hex(32)
        version = {"protocol_version": WS_PROTOCOL_VERSION}
        connection.send(json.dumps({"type": "auth_hello", **version, "client_nonce": client_nonce}))
        nonces = {"client_nonce": client_nonce, "server_nonce": json.loads(connection.recv(5))["server_nonce"]}
        proof = websocket_client_proof(capability, **nonces, **metadata)
        answer = {"type": "auth_response", **version, "client_proof": proof, **nonces, **metadata}
        connection.send(json.dumps(answer))
    acknowledged = json.loads(connection.recv(5))
    assert acknowledged["type"] == "handshake_ack", acknowledged


def play(record: str, port: str, metadata: dict[str, Any]) -> None:
    with connect(f"ws://127.0.0.1:{port}", compression=None, proxy=None) as connection:
        authenticate(connection, record, metadata)
        sys.stdout.write("open\n")
        sys.stdout.flush()
        for frame in connection:
            command = json.loads(frame)
            done = {"readiness": "ready", "project_name": metadata["project_path"], "pid": metadata["editor_pid"]}
            answer = {"request_id": command["request_id"], "status": "ok", "readiness": "ready", "data": done}
            connection.send(json.dumps(answer))


def main(record: str, port: str, project: str, suffix: str = "") -> None:
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    while True:
        with contextlib.suppress(OSError, WebSocketException, KeyError, ValueError):
            play(record, port, about(project, suffix))
        time.sleep(PAUSE_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
