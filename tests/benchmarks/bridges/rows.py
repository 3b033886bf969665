"""The bridges that are compared, and direct HTTP. Each stands before the same server, which our daemon runs."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from tests.benchmarks.bridges.clients import BridgeClient, Client, DirectClient, LibraryClient
from tests.benchmarks.bridges.servers import Servers
from tests.benchmarks.ours import PROGRAMS
from tests.benchmarks.peer import PEERS, said_by

HERE = Path(__file__).resolve().parent


class Row:
    """A way from a client to the server. `kind` is the kind of the server."""

    name: ClassVar[str]
    kind: ClassVar[str] = "bench"
    tool: ClassVar[str] = "echo"
    arguments: ClassVar[Mapping[str, str]] = {"text": "x"}
    is_slow: ClassVar[bool] = False
    """Whether calls take so long that fewer of them are measured."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.folder = servers.folder / self.name.replace(" ", "-").replace("/", "-")
        self.folder.mkdir(exist_ok=True)

    def version(self) -> str:
        """Return the version. Returns an empty text if the bridge is not installed."""
        raise NotImplementedError

    def connect(self) -> Client:
        """Return a new client, which has not sent anything."""
        raise NotImplementedError


class Direct(Row):
    """No bridge."""

    name = "direct"

    def version(self) -> str:
        """See `Row`."""
        return f"HTTP/1.1, Python {sys.version.split()[0]}"

    def connect(self) -> Client:
        """See `Row`."""
        return DirectClient(self.servers.port(self.kind), self.servers.bearer(self.kind))


class DirectLibrary(Row):
    """No bridge, and the HTTP of the standard library. The targets come from a run with this as the direct call."""

    name = "direct (http.client)"

    def version(self) -> str:
        """See `Row`."""
        return f"Python {sys.version.split()[0]}"

    def connect(self) -> Client:
        """See `Row`."""
        return LibraryClient(self.servers.port(self.kind))


class Bridge(Row):
    """A program on pipes."""

    def command(self) -> Sequence[str | Path]:
        """Return the command line."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Return what AI clients pass on, with a home of its own."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        return {**kept, "HOME": str(self.folder)}

    @property
    def url(self) -> str:
        """Return the URL of the server."""
        return f"http://127.0.0.1:{self.servers.port(self.kind)}/mcp"

    def connect(self) -> BridgeClient:
        """See `Row`."""
        return BridgeClient([str(word) for word in self.command()], self.environment(), self.folder)


class Ours(Bridge):
    """This project."""

    name = "godot-supervisor mcp"

    def version(self) -> str:
        """See `Row`."""
        return said_by(str(PROGRAMS / "godot-supervisor"), "version")

    def command(self) -> Sequence[str | Path]:
        """See `Row`."""
        return [PROGRAMS / "godot-supervisor", "mcp", self.kind]

    def environment(self) -> dict[str, str]:
        """See `Bridge`. The daemon is found by the home."""
        return {**super().environment(), **self.servers.home_variables}


class OursGated(Ours):
    """This project before a kind whose calls the daemon admits."""

    name = "godot-supervisor mcp (gate)"
    kind = "gated"


class Floor(Bridge):
    """See `byte_proxy.py`."""

    name = "asyncio byte proxy (floor)"

    def version(self) -> str:
        """See `Row`."""
        return f"Python {sys.version.split()[0]}"

    def command(self) -> Sequence[str | Path]:
        """See `Row`."""
        return [
            sys.executable,
            "-I",
            "-S",
            HERE / "byte_proxy.py",
            "127.0.0.1",
            str(self.servers.port(self.kind)),
            "/mcp",
        ]


class McpRemote(Bridge):
    """The bridge of npm that most guides name."""

    name = "mcp-remote"
    package = "mcp-remote"

    @property
    def program(self) -> Path:
        """Return the program that npm has installed."""
        return PEERS / self.package / "node_modules" / ".bin" / self.package

    def version(self) -> str:
        """See `Row`."""
        manifest = PEERS / self.package / "node_modules" / self.package / "package.json"
        return str(json.loads(manifest.read_bytes())["version"]) if manifest.exists() else ""

    def command(self) -> Sequence[str | Path]:
        """See `Row`."""
        return [self.program, self.url, "--allow-http", "--transport", "http-only"]


class Supergateway(McpRemote):
    """Another one of npm."""

    name = "supergateway"
    package = "supergateway"

    def command(self) -> Sequence[str | Path]:
        """See `Row`."""
        return [self.program, "--streamableHttp", self.url, "--logLevel", "none"]


class McpProxy(Bridge):
    """A bridge of PyPI."""

    name = "mcp-proxy"
    distribution = "mcp-proxy"

    def version(self) -> str:
        """See `Row`."""
        asked = f"import importlib.metadata as found; print(found.version('{self.distribution}'))"
        return said_by(str(PEERS / self.distribution / "bin" / "python"), "-c", asked)

    def command(self) -> Sequence[str | Path]:
        """See `Row`."""
        return [PEERS / self.distribution / "bin" / "mcp-proxy", "--transport", "streamablehttp", self.url]


class FastMcp(McpProxy):
    """The proxy of the library that godot-ai is built on."""

    name = "fastmcp run"
    distribution = "fastmcp"
    is_slow = True

    def command(self) -> Sequence[str | Path]:
        """See `Row`."""
        configuration = self.folder / "fastmcp.json"
        configuration.write_text(json.dumps({"mcpServers": {"up": {"url": self.url}}}), encoding="utf-8")
        program = PEERS / self.distribution / "bin" / "fastmcp"
        return [program, "run", configuration, "--no-banner", "--log-level", "ERROR"]

    def environment(self) -> dict[str, str]:
        """See `Bridge`. No start asks the network."""
        return {**super().environment(), "FASTMCP_CHECK_FOR_UPDATES": "off"}


class DirectGodotAi(Direct):
    """No bridge before a real godot-ai."""

    name = "direct (godot-ai)"
    kind = "godot-ai"
    tool = "session_manage"
    arguments: ClassVar[Mapping[str, str]] = {"op": "list"}

    def version(self) -> str:
        """See `Row`."""
        return self.servers.version(self.kind)


class OursGodotAi(Ours):
    """This project before a real godot-ai."""

    name = "godot-supervisor mcp (godot-ai)"
    kind = DirectGodotAi.kind
    tool = DirectGodotAi.tool
    arguments: ClassVar[Mapping[str, str]] = DirectGodotAi.arguments


class Attach(Bridge):
    """The bridge that godot-ai brings, from the environment of the server."""

    name = "godot-ai attach"
    kind = DirectGodotAi.kind
    tool = DirectGodotAi.tool
    arguments: ClassVar[Mapping[str, str]] = DirectGodotAi.arguments
    is_slow = True

    def version(self) -> str:
        """See `Row`."""
        return self.servers.version(self.kind)

    def command(self) -> Sequence[str | Path]:
        """See `Row`."""
        python, ports = self.servers.python_of_godot_ai(), self.servers.ports(self.kind)
        return [python, "-P", "-m", "godot_ai", "attach", "--port", str(ports["http"]), "--ws-port", str(ports["ws"])]

    def environment(self) -> dict[str, str]:
        """See `Bridge`. The record of the bearer is where the server has written it."""
        return {**super().environment(), **self.servers.godot_ai_variables}


ALL: tuple[type[Row], ...] = (
    Direct,
    DirectLibrary,
    Floor,
    Ours,
    OursGated,
    McpRemote,
    Supergateway,
    McpProxy,
    FastMcp,
    DirectGodotAi,
    OursGodotAi,
    Attach,
)
