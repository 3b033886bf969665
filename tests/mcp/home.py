"""A home with the small MCP server as a kind of the user's own, and what its journal says."""

import json
import sys
from pathlib import Path
from typing import Any

from tests.e2e.home import SERVERS, Home
from tests.ports import reach

CONFIG = """
[daemon]
discover = "off"

[kinds.small]
command = ["{python}", "{server}", "{{http}}", "--journal", "{journal}"{options}]
ports = {{ http = "{http}" }}
env = {{ SMALL_OWNER = "{{owner_pid}}" }}
identify = {{ http = "/health", match = {{ name = "mcp-server" }}, version = "version" }}
sessions = {{ tcp = "http" }}
url = "http://127.0.0.1:{{http}}/mcp"
topology = "shared"
grace_s = 1
linger_s = 1
ready_timeout_s = 20
"""


class SmallHome(Home):
    """A home whose kind `small` is the MCP server of these tests."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.journal_file = folder / "journal"
        self.config = folder / "home" / "config.toml"
        super().__init__(folder, small_config(self.journal_file, *options))

    def configure_file(self, *options: str) -> None:
        """Start the servers that follow with other options, before the daemon runs."""
        self.config.write_text(small_config(self.journal_file, *options))

    def configure(self, *options: str) -> None:
        """Start the servers that follow with other options."""
        self.configure_file(*options)
        assert self.cli("config", "reload").returncode == 0

    def journal(self, **wanted: Any) -> list[dict[str, Any]]:
        """Return what the servers have noted, in order."""
        try:
            rows = [json.loads(line) for line in self.journal_file.read_text().splitlines()]
        except FileNotFoundError:
            return []
        return [row for row in rows if all(row.get(name) == value for name, value in wanted.items())]


def small_config(journal: Path, *options: str) -> str:
    """Return a configuration with the small MCP server."""
    words = "".join(f', "{option}"' for option in options)
    return CONFIG.format(
        python=sys.executable, server=SERVERS / "mcp_server.py", journal=journal, options=words, http=reach(0)
    )
