"""Example port tables, servers and foreign servers for tests of decisions."""

from dataclasses import replace
from typing import Any

from supervisor.core.foreign import ForeignServer, Outage, Use
from supervisor.core.model import (
    Bind,
    ListeningSocket,
    Occupant,
    Origin,
    PortFact,
    Ports,
    ProcessIdentity,
    ServerRecord,
    ServerState,
)
from supervisor.core.processes.owners import DeadOwner
from supervisor.core.processes.proof import Recognised, Stoppable
from supervisor.core.reconcile import Answer, OwnServer, ServerSpec, Snapshot

PORTS: Ports = {"http": 8000, "ws": 9500}
NEXT: Ports = {"http": 8001, "ws": 9501}
ANY = ServerSpec("godot-ai", None, (PORTS, NEXT))
RECORD = ServerRecord(
    id="godot-ai",
    kind="godot-ai",
    version="4.3.0",
    project=None,
    state=ServerState.READY,
    origin=Origin.SPAWNED,
    launch="a",
    ports=PORTS,
    since=0.0,
    process=ProcessIdentity(5, "t"),
)
FREE = {port: PortFact(port, Bind.FREE) for port in (*PORTS.values(), *NEXT.values())}
OURS = Stoppable("this daemon's home spawned it")
INTENDED_OWNER = ProcessIdentity(70, "intended owner")
OTHER = ProcessIdentity(71, "other")


def wants(version: str | None, **more: Any) -> ServerSpec:
    """Return a request for a version."""
    return replace(ANY, version=version, **more)


def held(port: int, pid: int | None = 9, address: str = "127.0.0.1", bind: Bind = Bind.TAKEN) -> PortFact:
    """Return a port with a listener. Without a pid, the system does not tell the process."""
    identity = None if pid is None else ProcessIdentity(pid, "t")
    occupant = Occupant(identity, ("nc",) if pid else (), "dev")
    return PortFact(port, bind, (ListeningSocket(address, port, occupant),), None if bind is Bind.FREE else "in use")


def foreign_server(ports: Ports = PORTS, **more: Any) -> ForeignServer:
    """Return a godot-ai that another program started and whose owner is dead."""
    process = ProcessIdentity(9, "t")
    facts: dict[str, Any] = {
        "kind": "godot-ai",
        "process": process,
        "root": process,
        "occupant": Occupant(process, ("python", "-m", "godot_ai"), "dev"),
        "ports": ports,
        "recognition": Recognised("its command line and its answer are those of godot-ai"),
        "version": "4.3.0",
        "owner": DeadOwner(33),
    }
    return ForeignServer(**{**facts, **more})


def with_foreign_servers(*foreign_servers: ForeignServer) -> Snapshot:
    """Return a snapshot in which these servers hold the ports that they listen on."""
    ports = {port: held(port, each.process.pid) for each in foreign_servers for port in each.ports.values()}
    by_port = {port: each for each in foreign_servers for port in each.ports.values()}
    return Snapshot({**FREE, **ports}, foreign_servers=by_port)


def running(
    answer: Answer = Answer.RIGHT,
    use: Use = Use(),  # noqa: B008 (frozen)
    proof: Any = OURS,
    outage: Outage = Outage(),  # noqa: B008 (frozen)
    record: ServerRecord = RECORD,
) -> OwnServer:
    """The daemon's own server, running on its ports."""
    return OwnServer(record, answer, use, proof, outage)
