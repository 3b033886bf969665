"""A user's home for AI clients: found by HOME alone, because some clients hand over no other variable."""

import contextlib
import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from supervisor.native.facts import Folders
from tests import cache
from tests.e2e.home import Home, all_with, eventually, is_free, variables
from tests.mcp.home import small_config
from tests.mcp.steps import kill_server
from tests.ports import reach

FIXTURE, GODOT_AI = "small", "godot-ai"

NO_ERROR = re.compile(r"\"is_?[eE]rror\\?\": ?(false|null)")
"""How clients show that a result is none of an error."""

ADDON = '[plugin]\nname="Godot AI"\nversion="{version}"\n'

GODOT_AI_CONFIG = """
[daemon]
discover = "off"
environments = "{environments}"

[kinds.godot-ai]
ports = {{ http = "{http}", ws = "{ws}" }}
grace_s = 2
linger_s = 2
"""


class LabHome(Home):
    """The home, with one kind of server, and a project whose folder the clients run in.

    `tool` is a tool whose calls do no harm. `versions`: the one at the beginning, and the one after `upgrade`.
    """

    kind: str
    install_options: tuple[str, ...]
    tool: str
    versions: tuple[str, str]

    def __init__(self, folder: Path) -> None:
        self.user_home = folder / "home"
        self.user_home.mkdir(mode=0o700)
        self.folder = folder
        folders = Folders(self.user_home / ".godot-supervisor", moved=False)
        folders.home.mkdir(mode=0o700)
        folders.config = self.user_home / ".config" / "godot-supervisor" / "config.toml"
        folders.logs = self.user_home / ".local" / "state" / "godot-supervisor" / "log"
        folders.environments = cache.environments()
        self.folders = folders
        self.projects = self.user_home / "projects"
        self.projects.mkdir()
        folders.config.parent.mkdir(parents=True, mode=0o700)
        self._processes = []
        self._configured: set[str] = set()
        self.environment = {
            "HOME": str(self.user_home),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "LANG": "C.UTF-8",
            "SHELL": "/bin/sh",
            "TERM": "dumb",
            "USER": "user",
            "LOGNAME": "user",
            "NO_COLOR": "1",
            "NO_PROXY": "127.0.0.1,localhost",
        }
        self.write_config(self.versions[0])

    @property
    def work(self) -> str:
        """The project's folder."""
        return self.project("my-game")

    def write_config(self, version: str) -> None:
        """Write the settings, with a server of this version."""
        raise NotImplementedError

    def arguments(self, word: str, seconds: float = 0) -> dict[str, Any]:
        """Return the arguments of a call of `tool`."""
        raise NotImplementedError

    def executions(self, word: str) -> int | None:
        """Return how often the call with this word was executed. Returns None if the server does not count calls."""
        raise NotImplementedError

    def is_success(self, shown: str, word: str) -> bool:
        """Return whether what a client shows is the result of the call with this word."""
        raise NotImplementedError

    def stop_everything(self) -> None:
        """Stop the daemon and its servers. Their files stay."""
        self.start()
        self.command("stop", "--servers")

    # --- what happens to the server ---

    def is_configured(self, client: str) -> bool:
        """Return whether a client was asked about before, and note that it was."""
        seen = client in self._configured
        self._configured.add(client)
        return seen

    def server_row(self) -> dict[str, Any]:
        """Return the server that is ready."""
        return eventually(
            lambda: next((row for row in self.call("server.list")["servers"] if row["state"] == "ready"), None),
            "a server is ready",
        )

    def kill_server(self) -> None:
        """Kill the server, and wait until the daemon has noticed."""
        kill_server(self, self.server_row()["id"])

    def command(self, *words: str) -> None:
        """Run a command that has to succeed."""
        done = self.cli(*words)
        assert done.returncode == 0, done.stderr

    def move_server(self) -> None:
        """Start the server again on another port."""
        port = self.server_row()["ports"]["http"]
        self.command("down", self.kind)
        with taken(port):
            self.up(self.kind, "--project", self.work)
        assert self.server_row()["ports"]["http"] != port

    def upgrade(self) -> None:
        """Start the server again in the other version."""
        self.write_config(self.versions[1])
        self.command("config", "reload")
        self.command("restart", self.kind)

    def kill_all(self) -> None:
        """Kill the daemon and the server at once."""
        self.start()
        row = self.server_row()
        self.kill_daemon()
        os.kill(row["process"]["pid"], signal.SIGKILL)
        # A thread of a killed server may serve for a moment longer than the first one.
        eventually(lambda: is_free(row["ports"]["http"]), "the server ends")

    def bridges(self) -> list[int]:
        """Return the bridges of this home that live."""
        return [pid for pid in all_with("HOME") if self._is_bridge(pid)]

    def _is_bridge(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            if variables(pid).get("HOME") == str(self.user_home):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                return b"mcp" in words and any(b"supervisor" in word for word in words)
        return False

    def daemon_processes(self) -> list[int]:
        """The daemon that has published itself."""
        pid = self.daemon_pid()
        return [] if pid is None else [pid]


class FixtureHome(LabHome):
    """A home with the small MCP server, which notes each call of a tool."""

    kind, tool = FIXTURE, "write"
    install_options = ("--kind", FIXTURE)
    versions = ("1.0", "2.0")

    def write_config(self, version: str) -> None:
        self.journal_file = self.folder / "journal"
        self.folders.config.write_text(small_config(self.journal_file, "--version", version))
        self.folders.config.chmod(0o600)

    def arguments(self, word: str, seconds: float = 0) -> dict[str, Any]:
        return {"word": word, "seconds": seconds}

    def executions(self, word: str) -> int | None:
        try:
            return self.journal_file.read_text().count(f'"word": "{word}", "where"')
        except FileNotFoundError:
            return 0

    def is_success(self, shown: str, word: str) -> bool:
        return word in shown and "rror" not in NO_ERROR.sub("", shown)


class GodotAiHome(LabHome):
    """A home with the real godot-ai, whose version the project's addon names."""

    kind, tool = GODOT_AI, "session_manage"
    install_options = ()
    versions = ("4.3.0", "4.3.1")
    _calls = 0

    def write_config(self, version: str) -> None:
        text = GODOT_AI_CONFIG.format(environments=cache.environments(), http=reach(2), ws=reach(3))
        self.folders.config.write_text(text)
        self.folders.config.chmod(0o600)
        addon = Path(self.work, "addons", "godot_ai", "plugin.cfg")
        addon.parent.mkdir(parents=True, exist_ok=True)
        addon.write_text(ADDON.format(version=version))

    def arguments(self, word: str, seconds: float = 0) -> dict[str, Any]:  # noqa: ARG002 (the tool takes no word)
        # Gemini CLI and Qwen Code stop a model that makes the same call five times in a row.
        self._calls += 1
        return {"op": "list"} if self._calls % 2 else {"op": "list", "params": {}}

    def executions(self, word: str) -> int | None:  # noqa: ARG002 (the same)
        return None

    def is_success(self, shown: str, word: str) -> bool:  # noqa: ARG002 (the same)
        return "sessions" in shown and "rror" not in NO_ERROR.sub("", shown)

    def upgrade(self) -> None:
        """Let the addon name the other version, and start the server again."""
        self.write_config(self.versions[1])
        self.command("down", self.kind)
        self.up(self.kind, "--project", self.work)


@contextlib.contextmanager
def taken(port: int) -> Iterator[None]:
    """Listen on a port for as long as the block runs."""
    with socket.create_server(("127.0.0.1", port)):
        yield
