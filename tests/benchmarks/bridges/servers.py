"""The servers behind the bridges, run by our daemon: the small one, and a real godot-ai."""

import json
import os
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

from supervisor.mcp.bridge.address import read_bearer
from tests import cache
from tests.benchmarks.ours import Ours

UPSTREAM = Path(__file__).resolve().parent / "upstream.py"
GODOT_AI = "4.3.1"
HTTP, WS, BENCH, GATED = 18700, 19700, 18750, 18770


class Servers(Ours):
    """Our daemon with the two kinds. They live as long as this process, which is an owner of both."""

    name = "servers-behind-bridges"

    def __init__(self, work: Path, comments_s: float) -> None:
        super().__init__(work)
        self._comments_s = comments_s
        self._rows: dict[str, Any] = {}

    @property
    def home_variables(self) -> dict[str, str]:
        """Return the variable by which a bridge finds the daemon."""
        return {"GODOT_SUPERVISOR_HOME": str(self.home)}

    @property
    def godot_ai_variables(self) -> dict[str, str]:
        """Return the variables by which a real godot-ai and its own bridge find each other's files."""
        return {
            "GODOT_AI_CAPABILITY_DIR": str(self.folder / "capabilities"),
            "GODOT_AI_RUNTIME_DIR": str(self.folder / "runtime"),
            "GODOT_AI_DISABLE_TELEMETRY": "true",
        }

    def environment(self) -> dict[str, str]:
        """See `Peer`."""
        return {**super().environment(), **self.godot_ai_variables, "HOME": str(self.folder)}

    def configure(self, count: int) -> None:
        """See `Peer`."""
        super().configure(count)
        for folder in ("capabilities", "runtime"):
            (self.folder / folder).mkdir(mode=0o700, exist_ok=True)
        (self.home / "config.toml").write_text(
            f'[daemon]\ndiscover = "off"\nenvironments = {json.dumps(str(cache.environments()))}\n'
            f'[kinds.godot-ai]\nports = {{ http = "{HTTP}-{HTTP + 9}", ws = "{WS}-{WS + 9}" }}\n'
            f'{self._small_kind("bench", BENCH)}{self._small_kind("gated", GATED)}gate = "serialize"\n',
            encoding="utf-8",
        )

    def _small_kind(self, name: str, first_port: int) -> str:
        """Return the configuration of a kind whose server is the small one."""
        return (
            f"[kinds.{name}]\ncommand = {json.dumps(self.upstream_command('{http}'))}\n"
            f'ports = {{ http = "{first_port}-{first_port + 9}" }}\n'
            'identify = { http = "/health", match = { name = "bench" }, version = "version" }\n'
            'sessions = { tcp = "http" }\nurl = "http://127.0.0.1:{http}/mcp"\ntopology = "shared"\n'
        )

    def upstream_command(self, port: str) -> list[str]:
        """Return the command line of the small server."""
        comments = ["--comments", str(self._comments_s)] if self._comments_s else []
        return [sys.executable, "-I", "-S", str(UPSTREAM), port, *comments]

    def begin(self) -> None:
        """Start the daemon. Servers are started when they are needed."""
        self.configure(0)
        self.children = 0
        self.launch()

    def end(self) -> None:
        """Stop the daemon and the servers."""
        self.stop()

    def ensure(self, kind: str) -> Any:
        """Return the server of a kind as the daemon shows it. Started if it does not run."""
        version = {"version": GODOT_AI} if kind == "godot-ai" else {}
        self._rows[kind] = self.connection.call("server.ensure", kind=kind, owner={"pid": os.getpid()}, **version)
        return self._rows[kind]

    def port(self, kind: str) -> int:
        """Return the port on which a server listens for MCP."""
        return self.ports(kind)["http"]

    def ports(self, kind: str) -> dict[str, int]:
        """Return the ports of a server."""
        found: dict[str, int] = (self._rows.get(kind) or self.ensure(kind))["ports"]
        return found

    def version(self, kind: str) -> str:
        """Return the version of a server. Returns an empty text if it cannot be started."""
        try:
            return str((self._rows.get(kind) or self.ensure(kind))["version"])
        except AssertionError:
            return ""

    def bearer(self, kind: str) -> str | None:
        """Return the bearer that a server asks for, if it does."""
        return read_bearer((self._rows.get(kind) or self.ensure(kind)).get("bearer"))

    def pid(self, kind: str) -> int:
        """Return the process of a server."""
        return int(self.ensure(kind)["process"]["pid"])

    def python_of_godot_ai(self) -> str:
        """Return the interpreter of the real server."""
        return self._godot_ai_command[0]

    @cached_property
    def _godot_ai_command(self) -> list[str]:
        return Path(f"/proc/{self.pid('godot-ai')}/cmdline").read_text(encoding="utf-8").split("\0")
