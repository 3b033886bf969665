"""Plays a Godot editor's session with a real godot-ai 4, run by the interpreter of the server's environment.

usage: editor_session.py RECORD WS_PORT PROJECT

The program authenticates as the plugin does, says "open" and stays until its input ends.
"""

import json
import os
import secrets
import sys
from pathlib import Path

from godot_ai import __version__
from godot_ai.protocol.envelope import WS_PROTOCOL_VERSION
from godot_ai.transport.websocket import websocket_client_proof
from websockets.sync.client import ClientConnection, connect


def authenticate(connection: ClientConnection, capability: str, project: str) -> None:
    client_nonce = secrets.token_hex(32)
    hello = {"type": "auth_hello", "protocol_version": WS_PROTOCOL_VERSION, "client_nonce": client_nonce}
    connection.send(json.dumps(hello))
    nonces = {"client_nonce": client_nonce, "server_nonce": json.loads(connection.recv(5))["server_nonce"]}
    about = {
        "session_id": "game@test",
        "godot_version": "4.7-stable (official)",
        "project_path": project,
        "plugin_version": __version__,
        "readiness": "ready",
        "editor_pid": os.getpid(),
        "server_launch_mode": "external",
    }
    proof = websocket_client_proof(capability, **nonces, **about)
    answer = {"type": "auth_response", "protocol_version": WS_PROTOCOL_VERSION, "client_proof": proof}
    connection.send(json.dumps({**answer, **nonces, **about}))
    acknowledged = json.loads(connection.recv(5))
    if acknowledged["type"] != "handshake_ack":
        raise SystemExit(f"refused: {acknowledged}")


def main(record: str, port: str, project: str) -> None:
    capability = json.loads(Path(record).read_text(encoding="utf-8"))["websocket"]
    with connect(f"ws://127.0.0.1:{port}", compression=None, proxy=None) as connection:
        authenticate(connection, capability, project)
        sys.stdout.write("open\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
