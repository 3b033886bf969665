"""Answers of the fake system's servers to `identify`, and foreign servers that give them."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from supervisor.core.model import Ports, ProcessIdentity
from supervisor.kinds.kind import Kind
from supervisor.kinds.queries.identify import Identification
from tests.engine.harness import TOY, EngineHarness

ANSWERING: dict[str, Any] = {
    **TOY,
    "version": "1.0",
    "identify": {"http": "/s", "port": "http", "match": {"name": "toy"}, "version": "version", "leases": "leases"},
}


@dataclass
class Answers:
    """The answers of servers. `mute`: none comes in time. `asked`: the ports that were asked, with the secrets sent."""

    mute: bool = False
    version: str = "1.0"
    leases: int | None = 0
    version_of: Callable[[Ports], str | None] | None = None
    asked: list[tuple[int, Mapping[str, str]]] = field(default_factory=list)

    async def identify(
        self, kind: Kind, ports: Ports, secrets: Mapping[str, str], timeout_s: float
    ) -> Identification | None:
        assert kind.identify is not None
        self.asked.append((ports[kind.identify.port], secrets))
        if self.mute:
            await asyncio.sleep(timeout_s)
            return None
        version = (self.version_of(ports) if self.version_of else None) or self.version
        return Identification(matches=True, version=version, leases=self.leases)


def start_foreign_toy(
    harness: EngineHarness, owner: str | None = None, http: int = 8000, parent: ProcessIdentity | None = None
) -> ProcessIdentity:
    """Start a foreign server that listens on `http` and `http` + 1500. `owner`: the value of its owner variable."""
    ports = (http, http + 1500)
    environment = {} if owner is None else {"TOY_OWNER": owner}
    words = ("toy", *(str(port) for port in ports))
    toy = harness.system.start(*words, parent=1 if parent is None else parent.pid, environment=environment)
    for port in ports:
        harness.system.listen(toy, port)
    return toy
