"""The bridge as a process whose streams or parts fail, while its client lives."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from supervisor.mcp.bridge.catalogue_files import CatalogueFiles
from supervisor.native.facts import HOME_VARIABLE
from tests.mcp.bridge_client import HELLO

DEFECTIVE = """
import sys
from supervisor.cli.main import main
from supervisor.mcp.bridge.catalogue_files import CatalogueFiles
from supervisor.mcp.core.conversation import Conversation
from supervisor.mcp.core.events_and_actions import DeadlineReached, WriteCatalogue

receive = Conversation.receive

def receive_with_defects(self, event, now):
    if isinstance(event, DeadlineReached):
        raise ValueError("a defect")
    yield WriteCatalogue(None, {})
    yield from receive(self, event, now)

Conversation.receive = receive_with_defects
Conversation.deadline = property(lambda self: 0.0)
CatalogueFiles.write = lambda *_: 1 / 0
sys.exit(main(["mcp", "small"]))
"""

PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n'


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, HOME_VARIABLE: str(home)}


def test_a_full_stream_that_does_not_block_is_no_end(tmp_path: Path) -> None:
    text = "x" * 1_000_000
    hello = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}}
    era = {"hello": hello, "lists": {"tools/list": [{"name": "a", "description": text}]}}
    CatalogueFiles(str(tmp_path)).write("small", None, "1", {"schema": 1, "eras": {"legacy": era}})
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    with ours, theirs:
        bridge = subprocess.Popen(
            [sys.executable, "-P", "-m", "supervisor", "mcp", "small"],
            stdin=subprocess.PIPE,
            stdout=theirs,
            env=environment(tmp_path),
            cwd=tmp_path,
        )
        theirs.close()
        try:
            assert bridge.stdin is not None
            for number, method in enumerate(("initialize", "tools/list")):
                request = {"jsonrpc": "2.0", "id": number, "method": method, "params": HELLO if number == 0 else {}}
                bridge.stdin.write(json.dumps(request).encode() + b"\n")
            bridge.stdin.flush()
            with ours.makefile("rb") as lines:
                assert json.loads(lines.readline())["id"] == 0
                # The stream is full now, and the client does not read.
                time.sleep(0.5)
                assert json.loads(lines.readline())["result"]["tools"][0]["description"] == text
            assert bridge.poll() is None
            bridge.stdin.close()
            assert bridge.wait(10) == 0
        finally:
            bridge.kill()
            bridge.wait()


def test_a_defect_neither_ends_the_bridge_nor_keeps_it_busy(tmp_path: Path) -> None:
    bridge = subprocess.Popen(
        [sys.executable, "-P", "-c", DEFECTIVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(tmp_path),
        cwd=tmp_path,
    )
    try:
        assert bridge.stdin is not None
        assert bridge.stdout is not None
        assert bridge.stderr is not None
        bridge.stdin.write(PING)
        bridge.stdin.flush()
        assert json.loads(bridge.stdout.readline()) == {"jsonrpc": "2.0", "id": 1, "result": {}}
        time.sleep(1.5)
        out, said = bridge.communicate(PING, timeout=10)
        assert json.loads(out)["result"] == {}
        assert 1 <= said.count(b"ValueError: a defect") <= 5
        assert bridge.returncode == 0
    finally:
        bridge.kill()
        bridge.wait()


def test_a_closed_error_stream_ends_nothing(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    bridge = subprocess.Popen(
        [sys.executable, "-P", "-c", DEFECTIVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=writer,
        env=environment(tmp_path),
        cwd=tmp_path,
    )
    os.close(writer)
    try:
        out, _ = bridge.communicate(PING, timeout=10)
        assert json.loads(out)["result"] == {}
        assert bridge.returncode == 0
    finally:
        bridge.kill()
        bridge.wait()
