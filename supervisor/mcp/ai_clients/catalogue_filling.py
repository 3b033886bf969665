"""Fills the catalogue of a kind: plays an AI client of the MCP bridge, once in each era, while the server is ready."""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..bridge.catalogue_files import CatalogueFiles
from ..bridge.project import DEFAULT_KIND
from ..core.messages.catalogue import LEGACY, LEGACY_VERSIONS, LIST_KEYS, MODERN, Catalogue

WRITTEN_WITHIN_S = 20.0
"""How long the bridge may take to read all lists and to write the catalogue."""

POLL_S = 0.05
END_S = 5.0

_NAME = "godot-supervisor-install"
_MODERN_VERSION = "2026-07-28"
_META = {
    "io.modelcontextprotocol/protocolVersion": _MODERN_VERSION,
    "io.modelcontextprotocol/clientInfo": {"name": _NAME, "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


class CatalogueFilling:
    """The catalogue of a kind and project in one home. `kind` None: the default kind."""

    def __init__(self, home: str, kind: str | None, project: str | None, environment: Mapping[str, str]) -> None:
        self._files = CatalogueFiles(home)
        self._words = [kind or DEFAULT_KIND, *([] if project is None else ["--project", project])]
        self._environment = environment
        self._kind = kind or DEFAULT_KIND
        self._project = project

    def _catalogue(self) -> Catalogue | None:
        return self._files.newest(self._kind, self._project)

    def is_complete(self) -> bool:
        """Return whether the catalogue has all that a server says, in both eras."""
        catalogue = self._catalogue()
        return catalogue is not None and all(_has_all(catalogue, era) for era in (LEGACY, MODERN))

    def fill(self) -> bool:
        """Let a bridge write the catalogue, and return whether it is complete then. The server has to be ready."""
        for era, play in ((LEGACY, _play_legacy), (MODERN, _play_modern)):
            catalogue = self._catalogue()
            if catalogue is None or not _has_all(catalogue, era):
                with self._bridge() as ask:
                    play(ask)
                    self._wait_for(era)
        return self.is_complete()

    def _wait_for(self, era: str) -> None:
        end = time.monotonic() + WRITTEN_WITHIN_S
        while time.monotonic() < end:
            catalogue = self._catalogue()
            if catalogue is not None and _has_all(catalogue, era):
                return
            time.sleep(POLL_S)

    @contextlib.contextmanager
    def _bridge(self) -> Iterator["Ask"]:
        """Yield a function that sends a message to a bridge, and waits for the answer to a request."""
        command = [sys.executable, "-P", "-m", "supervisor", "mcp", *self._words]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(self._environment),
        )
        ends = threading.Timer(WRITTEN_WITHIN_S * 2, process.kill)
        ends.daemon = True
        ends.start()
        try:
            yield lambda message: _exchange(process, message)
        finally:
            ends.cancel()
            with contextlib.suppress(OSError):
                process.communicate(timeout=END_S)
            if process.poll() is None:
                process.kill()
                process.wait()


Ask = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def _has_all(catalogue: Catalogue, era: str) -> bool:
    found = catalogue.eras[era]
    if found.refused:
        return True
    return found.hello is not None and all(name in found.lists for name in LIST_KEYS if found.has_list(name))


def _play_legacy(ask: Ask) -> None:
    hello = {"protocolVersion": LEGACY_VERSIONS[-1], "capabilities": {}, "clientInfo": {"name": _NAME, "version": "1"}}
    ask({"id": 1, "method": "initialize", "params": hello})
    ask({"method": "notifications/initialized"})
    ask({"id": 2, "method": "tools/list", "params": {}})


def _play_modern(ask: Ask) -> None:
    if "error" not in ask({"id": 1, "method": "server/discover", "params": {"_meta": _META}}):
        ask({"id": 2, "method": "tools/list", "params": {"_meta": _META}})


def _exchange(process: "subprocess.Popen[bytes]", message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Send a message. Return the answer to a request; an empty one if the bridge has ended, or for a notification."""
    assert process.stdin is not None  # noqa: S101 (they are pipes)
    assert process.stdout is not None  # noqa: S101 (the same)
    with contextlib.suppress(OSError):
        process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        process.stdin.flush()
    while "id" in message:
        line = process.stdout.readline()
        if not line:
            return {}
        answer: Mapping[str, Any] = json.loads(line)
        if answer.get("id") == message["id"] and "method" not in answer:
            return answer
    return {}
