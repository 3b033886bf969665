"""The next daemon takes over what an earlier one left, with or without its registry."""

import asyncio
from dataclasses import replace
from pathlib import Path

from supervisor.core.model import Origin, ProcessIdentity, ServerState
from supervisor.engine.state.context import TOKEN_VARIABLE
from supervisor.kinds.queries.identify import Identification
from tests.engine.answers import ANSWERING, Answers
from tests.engine.harness import EngineHarness

SECRETIVE = {
    **ANSWERING,
    "identify": {**ANSWERING["identify"], "bearer": "BEARER"},
    "secrets": {"BEARER": {"format": "token", "recorded_as": "bearer"}},
    "record": "{log_dir}/{server_id}-{version}.json",
}


def living_godot_ai(harness: EngineHarness) -> ProcessIdentity:
    """Start a godot-ai of this home, as the interpreter of its environment runs it."""
    command = ("/env/bin/python", "-P", "-m", "godot_ai", "--port", "8000", "--ws-port", "9500")
    process = harness.system.start(*command, environment={TOKEN_VARIABLE: "home.godot-ai.abcd1234", "HOME": "/root"})
    harness.system.listen(process, 8000)
    harness.system.listen(process, 9500)
    return process


def test_the_next_daemon_finds_the_same_server_and_still_reaps(harness: EngineHarness) -> None:
    owner = harness.editor()
    launches: list[str] = []

    async def first() -> None:
        launches.append((await harness.up(owner)).launch)

    harness.run(first)
    later = harness.restarted()

    async def second() -> None:
        record = later.records.server("toy")
        assert record.launch == launches[0]
        assert later.alive(record.process)
        assert (await later.up(later.editor())).launch == launches[0]
        for identity in list(later.system.processes.values()):
            if identity.command[:1] == ("godot",):
                later.system.end(identity.identity)
        await asyncio.sleep(20)
        assert not later.alive(record.process)

    later.run(second)


def test_a_launch_that_a_killed_daemon_left_half_done_is_finished(harness: EngineHarness) -> None:
    async def first() -> None:
        harness.system.programs["toy"] = lambda *_: None
        start = asyncio.create_task(harness.up(harness.editor()))
        await asyncio.sleep(1)
        assert not start.done()

    harness.run(first)
    later = harness.restarted()

    async def second() -> None:
        (process,) = [p for p in later.system.processes.values() if p.command[:1] == ("toy",)]
        later.system.listen(process.identity, 8000)
        later.system.listen(process.identity, 9500)
        record = await later.up(later.editor())
        assert record.process == process.identity
        assert record.state is ServerState.READY
        assert len([p for p in later.system.processes.values() if p.command[:1] == ("toy",)]) == 1

    later.run(second)


def test_an_unrecorded_process_is_found_by_its_launch_token(harness: EngineHarness) -> None:
    async def first() -> None:
        record = await harness.up(harness.editor())
        harness.records.servers["toy"] = record.with_(state=ServerState.STARTING, root=None, process=None)
        harness.records.commit()

    harness.run(first)
    later = harness.restarted()

    async def second() -> None:
        record = await later.up(later.editor())
        assert record.state is ServerState.READY
        assert len(later.system.spawned) == 1

    later.run(second)


def test_a_record_without_a_process_is_cleared(harness: EngineHarness) -> None:
    async def first() -> None:
        record = await harness.up(harness.editor())
        assert record.process is not None
        harness.records.servers["toy"] = record.with_(state=ServerState.STARTING, root=None, process=None)
        harness.records.commit()
        harness.system.end(record.process)

    harness.run(first)
    later = harness.restarted()

    async def second() -> None:
        assert later.records.servers == {}

    later.run(second)


def test_a_lost_registry_is_rebuilt_and_no_process_is_killed(harness: EngineHarness) -> None:
    owner = harness.editor()

    async def first() -> None:
        await harness.up(owner)

    harness.run(first)
    harness.store.data = None
    later = harness.restarted()

    async def second() -> None:
        record = later.records.server("toy")
        assert record.origin is Origin.ADOPTED
        later.system.end(owner)
        assert record.ports == {"http": 8000, "sessions": 9500}
        assert [o.process for o in record.owners] == [owner]
        await asyncio.sleep(60)
        assert later.alive(record.process)
        await later.supervisor.stop("toy")
        assert not later.alive(record.process)

    later.run(second)


def test_a_lost_registry_is_rebuilt_for_a_kind_that_needs_an_environment(harness: EngineHarness) -> None:
    async def identify(*_: object) -> Identification:
        return Identification(matches=True, version="4.3.0")

    harness.queries = replace(harness.queries, identify=identify)
    process = living_godot_ai(harness)

    async def story() -> None:
        record = harness.records.server("godot-ai")
        assert (record.process, record.version) == (process, "4.3.0")
        assert record.url == "http://127.0.0.1:8000/mcp"
        assert record.connect == ()

    harness.run(story)


def test_a_server_that_cannot_be_rebuilt_does_not_block_the_daemon(harness: EngineHarness) -> None:
    async def identify(*_: object) -> Identification:
        raise RuntimeError("a defect")

    harness.queries = replace(harness.queries, identify=identify)
    process = living_godot_ai(harness)

    async def story() -> None:
        assert harness.records.servers == {}
        (told,) = harness.events.of("server.not_rebuilt")
        assert told["token"] == "home.godot-ai.abcd1234"
        assert harness.alive(process)

    harness.run(story)


def test_record_of_secrets_may_lie_in_the_folder_of_logs(harness: EngineHarness, answers: Answers) -> None:
    harness.tables = {"toy": SECRETIVE}
    expected: list[tuple[str, str]] = []

    async def first() -> None:
        record = await harness.up()
        own_record = Path(record.log or "").parent / "toy-1.0.json"
        own_record.write_text('{"bearer": "secret"}')
        own_record.chmod(0o600)
        expected.append((str(own_record), "bearer"))

    harness.run(first)
    later = harness.restarted()
    later.tables = harness.tables
    answers.asked.clear()

    async def second() -> None:
        assert later.engine.context.bearer_record(later.records.server("toy")) == expected[0]
        await later.engine.inspector.check("toy")
        assert answers.asked
        assert {secrets["BEARER"] for _, secrets in answers.asked} == {"secret"}

    later.run(second)


def test_record_at_a_port_that_a_server_lacks_gives_no_secrets(harness: EngineHarness, answers: Answers) -> None:
    harness.tables = {"toy": SECRETIVE}

    async def first() -> None:
        await harness.up()

    harness.run(first)
    later = harness.restarted()
    ports = {**SECRETIVE["ports"], "more": "9900-9903"}
    later.tables = {"toy": {**SECRETIVE, "ports": ports, "env": {"MORE": "{more}"}, "record": "{config_dir}/{more}"}}
    answers.asked.clear()

    async def second() -> None:
        assert later.engine.context.bearer_record(later.records.server("toy")) is None
        await later.engine.inspector.check("toy")
        assert [secrets for _, secrets in answers.asked if secrets] == []
        assert answers.asked

    later.run(second)
