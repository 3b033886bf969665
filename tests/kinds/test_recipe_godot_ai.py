"""The built-in recipe against the real servers, from the package index."""

import asyncio
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from supervisor.core.model import Liveness, ProcessIdentity
from supervisor.engine.environments.private_environments import Environments
from supervisor.kinds.catalog import Catalog
from supervisor.kinds.kind import expand, launch_command, launch_environment
from supervisor.kinds.queries.identify import Identification, identify
from supervisor.kinds.server_secrets import make_secrets, read_secrets, record_path
from supervisor.native.api import ChildCommand
from supervisor.native.platforms import open_platform
from tests import cache
from tests.gates import rest_in_full

KIND = Catalog.build({}).get("godot-ai")
PATIENCE_S = 60.0

pytestmark = [pytest.mark.needs_index, pytest.mark.timeout(400)]


def free_ports() -> dict[str, int]:
    """Return two ports that were free a moment ago, below those that the system uses for connections."""
    found: list[int] = []
    for port in range(20000 + os.getpid() % 5000, 30000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
        if len(found) == 2:
            break
    return {"http": found[0], "ws": found[1]}


class Server:
    """A real server, started as the recipe says."""

    def __init__(self, folder: Path, version: str) -> None:
        self.folder = folder
        self.version = version
        self.platform = open_platform()
        self.ports = free_ports()
        self.secrets = make_secrets(KIND, version)
        folders = ("XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA")
        self.base = {**os.environ, **{name: str(folder / name) for name in folders}}
        # Variables of a plugin's own launch must not reach this server.
        self.base |= {"GODOT_AI_DISABLE_TELEMETRY": "true", "GODOT_AI_WS_TOKEN": "stale", "GODOT_AI_OWNER_PID": "1"}
        for name in folders:
            (folder / name).mkdir(mode=0o700)

    async def start(self, root: Path) -> ProcessIdentity:
        platform = self.platform
        environments = Environments(root, platform, self._kill)
        private = await environments.provide("godot-ai", self.version, lambda *_: None)
        numbers = {name: str(port) for name, port in self.ports.items()}
        self.values = {**numbers, "python": str(private.python), "version": self.version}
        variables = launch_environment(KIND, self.base, self.values, self.secrets)
        log = self.folder / "server.log"
        return platform.processes.spawn(ChildCommand(launch_command(KIND, self.values), variables, self.folder, log))

    async def _kill(self, installer: ProcessIdentity) -> None:
        self.platform.processes.kill(installer)

    async def ask(self, secrets: dict[str, str]) -> Identification | None:
        return await identify(KIND, self.ports, secrets, 5)

    async def ready(self, process: ProcessIdentity) -> Identification:
        async with asyncio.timeout(PATIENCE_S):
            while (said := await self.ask(self.secrets)) is None:
                assert self.platform.probe.sample(process) is Liveness.ALIVE, (self.folder / "server.log").read_text()
                await asyncio.sleep(0.05)
        return said

    async def stop(self, process: ProcessIdentity) -> int | None:
        await self.platform.processes.ask_to_end(process)
        async with asyncio.timeout(PATIENCE_S):
            while self.platform.probe.sample(process) is not Liveness.DEAD:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return self.platform.processes.exit_status(process)


async def tools_through_bridge(server: Server) -> tuple[list[str], int | None]:
    """Run the recipe's `connect` as an AI client does. Return what it sees, and the leases that the server counts."""
    argv = [expand(word, server.values) for word in KIND.connect]
    private = {name: value for name, value in server.base.items() if name != "GODOT_AI_WS_TOKEN"}
    bridge = await asyncio.create_subprocess_exec(
        *argv, env=private, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**24
    )
    assert bridge.stdin
    assert bridge.stdout

    def send(**message: Any) -> None:
        bridge.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")  # type: ignore[union-attr]

    async def answer(number: int) -> Any:
        while True:
            message = json.loads(await bridge.stdout.readline())  # type: ignore[union-attr]
            if message.get("id") == number:
                return message["result"]

    async with asyncio.timeout(PATIENCE_S):
        client = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
        send(id=1, method="initialize", params=client)
        await answer(1)
        send(method="notifications/initialized")
        send(id=2, method="tools/list")
        tools = [tool["name"] for tool in (await answer(2))["tools"]]
        said = await server.ask(server.secrets)
        bridge.stdin.close()
        await bridge.wait()
    return tools, said.leases if said else None


@pytest.mark.parametrize("version", rest_in_full(["4.3.1", "3.2.5"]))
def test_the_recipe_starts_asks_connects_and_stops(tmp_path: Path, version: str) -> None:
    server = Server(tmp_path, version)

    async def main() -> None:
        process = await server.start(cache.environments())
        try:
            said = await server.ready(process)
            assert (said.matches, said.version, said.leases) == (True, version, 0)
            recorded = read_secrets(KIND, server.ports, server.base)
            same = recorded == server.secrets
            assert same, "the record of 4.x has what it was started with; 3.x neither gets nor records anything"
            without = await server.ask({})
            assert without is not None
            assert without.matches is (version == "3.2.5")
            tools, leases = await tools_through_bridge(server)
            assert "editor_state" in tools
            assert leases == 1
        finally:
            status = await server.stop(process)
        assert status == -15
        assert not record_path(KIND, server.ports, server.base).exists()

    asyncio.run(main())
    log = (tmp_path / "server.log").read_text()
    assert "FastMCP" not in log, "neither a banner nor a hint that there is an update"
