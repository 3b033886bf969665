"""A Unity editor's session with a real unity-mcp. Runs with the interpreter of the server's environment.

usage: unity_session.py PORT

The program registers as the plugin does, says "open" and stays until its input ends.
"""

import json
import sys
from typing import Any

from websockets.sync.client import ClientConnection, connect


def hear(connection: ClientConnection, kind: str) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(connection.recv(5))
    if message["type"] != kind:
        raise SystemExit(f"not {kind}: {message}")
    return message


def main(port: str) -> None:
    with connect(f"ws://127.0.0.1:{port}/hub/plugin", proxy=None) as connection:
        hear(connection, "welcome")
        about = {"project_name": "my-game", "project_hash": "0123456789abcdef", "unity_version": "6000.1.0f1"}
        connection.send(json.dumps({"type": "register", **about}))
        hear(connection, "registered")
        sys.stdout.write("open\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
