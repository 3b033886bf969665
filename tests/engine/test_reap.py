"""Reasons that keep a server from being reaped."""

import asyncio

import pytest

from supervisor.core.model import Liveness, Ownership, ProcessIdentity, ServerState
from supervisor.core.reaping import Keep
from tests.engine.answers import ANSWERING, Answers
from tests.engine.harness import TOY, EngineHarness
from tests.fakes import FakeProbe


def test_server_of_a_removed_kind_is_kept_with_its_sessions(
    harness: EngineHarness,
) -> None:
    async def begin() -> None:
        await harness.up(harness.editor())

    harness.run(begin)
    later = harness.restarted()
    later.tables = {}
    harness.system.connections[9500] = 1

    async def story() -> None:
        record = later.records.server("toy")
        harness.system.end(record.owners[0].process)
        await asyncio.sleep(600)
        assert later.alive(record.process)
        verdict = later.engine.inspector.reaper.last_verdict("toy")
        assert isinstance(verdict, Keep)
        assert verdict.reasons == ("its kind was removed from the configuration: its sessions cannot be counted",)

    later.run(story)
    last = later.restarted()
    last.tables = {"toy": TOY}
    harness.system.connections[9500] = 0

    async def ending() -> None:
        await asyncio.sleep(10)
        assert last.records.servers == {}

    last.run(ending)


def test_reused_editor_id_does_not_keep_the_old_owners_server(
    harness: EngineHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        (name,) = harness.records.editors
        forgotten = harness.editor()
        harness.system.end(forgotten)
        honest, lies = FakeProbe.sample, [Liveness.ALIVE]

        def sample(self: FakeProbe, identity: ProcessIdentity) -> Liveness:
            return lies.pop() if identity == forgotten and lies else honest(self, identity)

        monkeypatch.setattr(FakeProbe, "sample", sample)
        harness.records.set_claims("toy", owners=(Ownership(name, forgotten),))
        harness.engine.inspector.reaper.judge_soon("toy")
        await asyncio.sleep(10)
        assert not lies
        assert not harness.alive(record.process)

    harness.run(story)


def test_server_too_old_to_be_asked_is_reaped(harness: EngineHarness, answers: Answers) -> None:
    old = {**ANSWERING, "version": "0.9", "identify": {**ANSWERING["identify"], "versions": ">=1"}}
    harness.tables = {"toy": old}

    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        assert (record.state, record.version, answers.asked) == (ServerState.READY, "0.9", [])
        harness.system.end(owner)
        await asyncio.sleep(30)
        assert harness.records.servers == {}
        assert not harness.alive(record.process)
        assert answers.asked == []

    harness.run(story)


def test_server_that_does_not_report_its_leases_is_kept(harness: EngineHarness, answers: Answers) -> None:
    harness.tables = {"toy": ANSWERING}
    answers.leases = None

    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        harness.system.end(owner)
        await asyncio.sleep(600)
        assert harness.alive(record.process)
        verdict = harness.engine.inspector.reaper.last_verdict("toy")
        assert isinstance(verdict, Keep)
        assert verdict.reasons == ("its leases are unknown",)

    harness.run(story)
