"""Bridges of AI clients: a stop names them, and the servers that they start may be stopped."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from supervisor.core.model import Origin, ProcessIdentity, ServerState
from supervisor.engine.identification import bridges
from supervisor.engine.starting.adopt import AdoptRequest
from supervisor.kinds.catalog import Catalog
from supervisor.kinds.programs import is_bridge_command
from supervisor.native import private_files
from tests.engine.answers import ANSWERING, Answers
from tests.engine.harness import EngineHarness

BRIDGED: dict[str, Any] = {
    **ANSWERING,
    "package": "toy",
    "command": ["{python}", "{http}", "{sessions}"],
    "programs": ["toy"],
    "connect": ["{python}", "attach", "--port", "{http}"],
    "client_mark": "TOY_CLIENT",
}


@pytest.fixture
def harness(tmp_path: Path) -> EngineHarness:
    harness = EngineHarness(tmp_path)
    harness.queries = replace(harness.queries, identify=Answers().identify)
    harness.discover = "watch"
    harness.tables = {"toy": BRIDGED}
    folder = tmp_path / "environments"
    path = folder / "toy-1.0-abc"
    (path / "venv").mkdir(parents=True)
    python = path / "venv" / "toy"
    python.touch()
    record = {"schema": 1, "path": str(path), "python": str(python), "package": "toy", "version": "1.0"}
    (folder / "toy-1.0.json").write_text(json.dumps(record))
    return harness


def python(harness: EngineHarness) -> str:
    return str(harness.folder / "environments" / "toy-1.0-abc" / "venv" / "toy")


def bridge(harness: EngineHarness, port: int = 8000) -> ProcessIdentity:
    client = harness.system.start("/usr/bin/claude")
    return harness.system.start(python(harness), "attach", "--port", str(port), parent=client.pid)


def bridges_server(
    harness: EngineHarness, program: str | None = None, *, listens: bool = True, **more: str
) -> ProcessIdentity:
    """Start the server that a bridge starts when its own has gone."""
    environment = {"TOY_CLIENT": "1", **more}
    process = harness.system.start(program or python(harness), "8000", "9500", environment=environment)
    for port in (8000, 9500) if listens else ():
        harness.system.listen(process, port)
    return process


def test_bridge_is_named_when_its_server_is_stopped(harness: EngineHarness) -> None:
    async def story() -> None:
        await harness.up()
        found, _ = bridge(harness), bridge(harness, port=8003)
        stopped = await harness.supervisor.stop("toy")
        assert [(seen.pid, seen.client) for seen in stopped.bridges] == [(found.pid, "claude")]

    harness.run(story)


def test_bridge_is_named_when_its_server_is_restarted(harness: EngineHarness) -> None:
    async def story() -> None:
        await harness.up()
        found = bridge(harness)
        again = await harness.supervisor.restart("toy")
        assert [seen.pid for seen in again.bridges] == [found.pid]
        assert harness.records.server("toy").bridges == ()

    harness.run(story)


def test_server_started_by_a_bridge_may_be_stopped(harness: EngineHarness) -> None:
    async def story() -> None:
        process = bridges_server(harness)
        (record,) = await harness.supervisor.discovery.look()
        assert (record.origin, record.started_by_bridge) == (Origin.EXTERNAL, True)
        await harness.supervisor.close(servers=True)
        assert not harness.alive(process)

    harness.run(story)


def test_stop_finds_a_server_that_a_bridge_started_before_discovery(harness: EngineHarness) -> None:
    async def story() -> None:
        await harness.up()
        await harness.supervisor.stop("toy")
        process = bridges_server(harness)
        assert (await harness.supervisor.stop("toy")).state is ServerState.STOPPED
        assert not harness.alive(process)

    harness.run(story)


def test_reads_look_for_what_a_bridge_of_a_stopped_server_starts(harness: EngineHarness) -> None:
    async def story() -> None:
        await harness.up()
        found = bridge(harness)
        await harness.supervisor.stop("toy")
        discovery = harness.supervisor.discovery
        assert discovery.expects_servers()
        process = bridges_server(harness)
        await discovery.look_and_wait()
        assert [row.process for row in harness.records.servers.values()] == [process]
        harness.system.end(found)
        assert not discovery.expects_servers()

    harness.run(story)


@pytest.mark.parametrize(
    ("program", "variables"),
    [("/elsewhere/venv/toy", {}), (None, {"TOY_OWNER": "1"}), (None, {"GODOT_SUPERVISOR_SERVER_ID": "other.toy.1"})],
    ids=["another environment", "an owner", "another home"],
)
def test_mark_alone_does_not_prove_a_bridges_server(
    harness: EngineHarness, program: str | None, variables: dict[str, str]
) -> None:
    async def story() -> None:
        process = bridges_server(harness, program, **variables)
        await harness.supervisor.discovery.look()
        assert not any(row.started_by_bridge for row in harness.records.servers.values())
        await harness.supervisor.close(servers=True)
        assert harness.alive(process)

    harness.run(story)


def test_server_that_is_no_longer_a_bridges_is_left_alone(harness: EngineHarness) -> None:
    async def story() -> None:
        process = bridges_server(harness)
        await harness.supervisor.discovery.look()
        harness.system.processes[process.pid].command = ("/elsewhere/toy", "8000", "9500")
        await harness.supervisor.close(servers=True)
        assert harness.alive(process)

    harness.run(story)


def test_ensure_adopts_a_server_that_a_bridge_has_started(harness: EngineHarness) -> None:
    async def story() -> None:
        process = bridges_server(harness, listens=False)
        loop = asyncio.get_running_loop()
        for port in (8000, 9500):
            loop.call_later(3, harness.system.listen, process, port)
        record = await harness.up()
        assert (record.process, record.ports["http"], record.origin) == (process, 8000, Origin.ADOPTED)
        assert (record.owners_unknown, record.until_stopped) == (False, True)
        await harness.supervisor.close(servers=True)
        assert not harness.alive(process)

    harness.run(story)


def test_adopted_server_of_a_bridge_still_counts_as_a_bridges(harness: EngineHarness) -> None:
    async def story() -> None:
        bridges_server(harness)
        record = await harness.supervisor.adopt(AdoptRequest(port=8000))
        assert record.started_by_bridge

    harness.run(story)


def test_bridges_are_held_off_by_their_lock(harness: EngineHarness) -> None:
    folder = harness.folder / "locks"
    folder.mkdir(mode=0o700)
    lock = folder / "attach-8000.lock"
    harness.tables = {
        "toy": {**BRIDGED, "bridge_locks": [f"{folder.as_posix()}/attach-{{http}}.lock", "/nowhere/{http}"]}
    }

    async def story() -> None:
        kind = harness.engine.context.catalog.get("toy")
        async with bridges.held_off(harness.engine.context, kind, {"http": 8000, "sessions": 9500}):
            with pytest.raises(OSError), private_files.locked(lock):  # noqa: PT011 (another number on each system)
                pass
        with private_files.locked(lock):
            pass
        assert lock.exists()

    harness.run(story)


GODOT_AI = Catalog.build({}).get("godot-ai")
PORTS = {"http": 8000, "ws": 9500}


@pytest.mark.parametrize(
    ("command", "preferred", "is_one"),
    [
        ("python -P -m godot_ai attach --port 8000 --ws-port 9500", True, True),
        ("python -P -m godot_ai attach --port 8001 --ws-port 9501", True, False),
        ("python -m godot_ai attach --port=8000", False, True),
        ("python /home/me/bin/godot-ai attach", True, True),
        ("python /home/me/bin/godot-ai attach", False, False),
        ("python -P -m godot_ai --transport streamable-http --port 8000 --ws-port 9500", True, False),
        ("python -m attach --port 8000", True, False),
        ("vim attach", True, False),
    ],
)
def test_bridge_is_recognised_by_its_command_line(command: str, preferred: bool, is_one: bool) -> None:  # noqa: FBT001 (a table)
    assert is_bridge_command(GODOT_AI, command.split(), PORTS, preferred=preferred) is is_one
