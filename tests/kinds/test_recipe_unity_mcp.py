"""The built-in recipe, and the real server from the package index."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from supervisor.core.model import Liveness, ProcessIdentity
from supervisor.engine.environments.private_environments import Environments
from supervisor.kinds.catalog import Catalog
from supervisor.kinds.kind import SessionRoute, expand, launch_command, launch_environment
from supervisor.kinds.programs import is_command_of
from supervisor.kinds.queries.identify import Identification, identify
from supervisor.kinds.queries.sessions import count_sessions
from supervisor.native.api import ChildCommand, Platform
from supervisor.native.platforms import open_platform
from tests import cache
from tests.ports import rest

KIND = Catalog.build({}).get("unity-mcp")
VERSION = "10.3.0"
PATIENCE_S = 60.0
TALKATIVE = {
    "UNITY_MCP_DISABLE_TELEMETRY": "false",
    "FASTMCP_CHECK_FOR_UPDATES": "stable",
    "FASTMCP_SHOW_SERVER_BANNER": "true",
}
VALUES = {"python": "/env/bin/python", "http": "8080", "version": VERSION, "log_dir": "/logs/unity-mcp"}


def test_host_and_port_are_on_the_command_line() -> None:
    words = launch_command(KIND, VALUES)
    assert words[:4] == ("/env/bin/python", "-P", "-m", "main")
    assert " ".join(words[4:]) == "--transport http --http-host 127.0.0.1 --http-port 8080"
    assert expand(KIND.url or "", VALUES) == "http://127.0.0.1:8080/mcp"


def test_only_the_server_program_of_the_package_is_of_the_kind() -> None:
    assert is_command_of(KIND, ["/cache/uv/x/bin/python", "/cache/uv/x/bin/mcp-for-unity", "--transport", "http"])
    assert is_command_of(KIND, launch_command(KIND, VALUES))
    assert not is_command_of(KIND, ["/cache/uv/x/bin/python", "/cache/uv/x/bin/unity-mcp", "instances"])


def test_preferences_are_inherited_but_not_launch_settings() -> None:
    launch = ("UNITY_MCP_HTTP_URL", "UNITY_MCP_HTTP_PORT", "UNITY_MCP_HTTP_REMOTE_HOSTED", "UNITY_MCP_INSTANCE_TOKEN")
    secrets = ("UNITY_MCP_API_KEY_SERVICE_TOKEN", "UNITY_MCP_API_KEY_VALIDATION_URL")
    chosen = {"DISABLE_TELEMETRY": "1", "UNITY_MCP_PROJECT_SCOPED_TOOLS": "true", "FASTMCP_LOG_LEVEL": "DEBUG"}
    given = launch_environment(KIND, {**dict.fromkeys((*launch, *secrets), "x"), **chosen}, VALUES, {})
    assert not {*launch, *secrets} & set(given)
    assert chosen.items() <= given.items()
    assert given["UNITY_MCP_SKIP_STARTUP_CONNECT"] == "1"
    assert given["UNITY_MCP_LOG_DIR"] == "/logs/unity-mcp/unity-mcp"


def test_telemetry_is_off_unless_the_user_enables_it() -> None:
    assert launch_environment(KIND, {}, VALUES, {})["UNITY_MCP_DISABLE_TELEMETRY"] == "true"
    assert TALKATIVE.items() <= launch_environment(KIND, TALKATIVE, VALUES, {}).items()


class Proxy:
    """A proxy that receives a server's requests to the network. `asked` has their first lines."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    @asynccontextmanager
    async def variables(self) -> AsyncIterator[dict[str, str]]:
        """Return the variables that send a program's requests to this proxy."""

        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.asked.append((await reader.readline()).decode().strip())
            writer.transport.abort()

        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield {"HTTPS_PROXY": url, "HTTP_PROXY": url, "ALL_PROXY": url}
        finally:
            server.close()


class Server:
    """A real server, started as the recipe says."""

    def __init__(self, folder: Path, platform: Platform, port: int) -> None:
        folder.mkdir()
        self.folder = folder
        self.platform = platform
        self.ports = {"http": port}

    def start(self, python: Path, more: Mapping[str, str]) -> None:
        proxies = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
        base = {name: value for name, value in os.environ.items() if name.upper() not in proxies}
        private = {
            name: str(self.folder / name) for name in ("XDG_DATA_HOME", "XDG_STATE_HOME", "UNITY_MCP_STATUS_DIR")
        }
        values = {"python": str(python), "http": str(self.ports["http"]), "log_dir": str(self.folder)}
        variables = launch_environment(KIND, {**base, **private, **more}, values, {})
        command = ChildCommand(launch_command(KIND, values), variables, self.folder, self.folder / "server.log")
        self.process: ProcessIdentity = self.platform.processes.spawn(command)

    def log(self) -> str:
        return (self.folder / "server.log").read_text()

    async def ready(self) -> Identification:
        async with asyncio.timeout(PATIENCE_S):
            while (said := await identify(KIND, self.ports, {}, 5)) is None:
                assert self.platform.probe.sample(self.process) is Liveness.ALIVE, self.log()
                await asyncio.sleep(0.05)
        return said

    async def stop(self) -> int | None:
        await self.platform.processes.ask_to_end(self.process)
        return await self.end()

    async def end(self) -> int | None:
        async with asyncio.timeout(PATIENCE_S):
            while self.platform.probe.sample(self.process) is not Liveness.DEAD:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return self.platform.processes.exit_status(self.process)


def free_ports(count: int) -> list[int]:
    found: list[int] = []
    for port in rest():
        with socket.socket() as probe:
            if len(found) < count and probe.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
    return found


async def provide(platform: Platform) -> Path:
    async def kill(installer: ProcessIdentity) -> None:
        platform.processes.kill(installer)

    environments = Environments(cache.environments(), platform, kill)
    return (await environments.provide(KIND.package or "", VERSION, lambda *_: None)).python


@pytest.mark.needs_index
@pytest.mark.timeout(400)
@pytest.mark.full
def test_the_real_server_identifies_itself_and_stays_off_the_network(tmp_path: Path) -> None:
    platform = open_platform()
    ports = free_ports(2)
    quiet, talkative = (Server(tmp_path / str(port), platform, port) for port in ports)
    silence, talk = Proxy(), Proxy()

    async def main() -> None:
        python = await provide(platform)
        async with silence.variables() as to_silence, talk.variables() as to_talk:
            quiet.start(python, to_silence)
            said = await quiet.ready()
            assert (said.matches, said.version, said.leases) == (True, VERSION, None)
            assert isinstance(KIND.sessions, SessionRoute)
            assert await count_sessions(KIND.sessions, quiet.ports, 5) == 0
            talkative.start(python, {**to_talk, **TALKATIVE})
            # This server has started later. The other one has had time for everything that it does by itself.
            async with asyncio.timeout(PATIENCE_S):
                while not {"pypi.org:443", "api-prod.coplay.dev:443"} <= {line.split()[1] for line in talk.asked}:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert silence.asked == []
            assert "FastMCP" not in quiet.log(), "no banner"
            assert [await server.stop() for server in (quiet, talkative)] == [-15, -15]

    try:
        asyncio.run(main())
    finally:
        for server in (quiet, talkative):
            if hasattr(server, "process"):
                platform.processes.kill(server.process)


@pytest.mark.needs_index
@pytest.mark.timeout(400)
def test_the_real_server_exits_with_3_if_its_port_is_taken(tmp_path: Path) -> None:
    platform = open_platform()
    (port,) = free_ports(1)
    server = Server(tmp_path / "late", platform, port)

    async def main() -> None:
        python = await provide(platform)
        with socket.create_server(("127.0.0.1", port)):
            server.start(python, {})
            assert await server.end() == 3

    asyncio.run(main())
