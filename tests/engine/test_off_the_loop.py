"""The event loop never reads the memory of a process, because a process that hangs in the kernel blocks the reader."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from supervisor.core.model import Occupant, ProcessIdentity
from supervisor.engine.claims.editors import Arrival
from supervisor.engine.starting.adopt import AdoptRequest
from tests.engine.answers import ANSWERING, start_foreign_toy
from tests.engine.harness import EngineHarness
from tests.fakes import FakeProbe, FakeProcessControl
from tests.virtual import VirtualLoop


@pytest.fixture
def on_the_loop(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the reads of processes' memory on the loop."""
    found: list[str] = []
    threads = 0
    honest = VirtualLoop.run_in_executor

    def run_in_executor(self: VirtualLoop, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        nonlocal threads
        threads += 1
        try:
            return honest(self, executor, func, *args)
        finally:
            threads -= 1

    def describe(self: FakeProbe, pid: int) -> Occupant:
        found.extend(() if threads else [f"command line of {pid}"])
        return describe_honestly(self, pid)

    def variable(self: FakeProcessControl, identity: ProcessIdentity, name: str) -> str | None:
        found.extend(() if threads else [f"{name} of {identity.pid}"])
        return variable_honestly(self, identity, name)

    describe_honestly, variable_honestly = FakeProbe.describe, FakeProcessControl.variable
    monkeypatch.setattr(VirtualLoop, "run_in_executor", run_in_executor)
    monkeypatch.setattr(FakeProbe, "describe", describe)
    monkeypatch.setattr(FakeProcessControl, "variable", variable)
    return found


@pytest.mark.usefixtures("answers")
def test_nothing_that_may_hang_is_read_on_the_loop(harness: EngineHarness, on_the_loop: list[str]) -> None:
    harness.tables = {"toy": ANSWERING}
    harness.discover = "watch"

    async def story() -> None:
        editor = await harness.attachments.attach_with_program_name(Arrival(harness.editor().pid))
        assert editor.name == "godot"
        shell = harness.system.start("sh", "-c", "toy 8000 9500")
        toy = start_foreign_toy(harness, owner=str(harness.editor().pid), parent=shell)
        await asyncio.sleep(1)
        assert harness.records.server("toy").owners
        await harness.supervisor.adopt(AdoptRequest(pid=shell.pid, editor=editor))
        await harness.up(harness.editor())
        await harness.engine.inspector.port_reporter.explain("toy", ())
        harness.system.processes[toy.pid].ignores_sigterm = True
        for process in [each for each in harness.system.processes.values() if each.command[:1] == ("godot",)]:
            harness.system.end(process.identity)
        await asyncio.sleep(60)
        assert harness.records.servers == {}
        own = await harness.up(harness.editor())
        await harness.supervisor.stop(own.id)
        assert on_the_loop == []

    harness.run(story)
