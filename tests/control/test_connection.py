import asyncio
from pathlib import Path
from typing import Any

import pytest

from supervisor.control import progress
from supervisor.engine.operations.requester import Requester
from supervisor.errors import NotFound
from tests.control.harness import HELLO, KINDS, TEN, TOKEN, Peers, Work, accept, busy, open_listener, until
from tests.systems import POSIX_ONLY

ENSURE = {"kind": "godot-ai"}


def code(reply: Any) -> str:
    return str(reply["error"]["data"]["code"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_read_is_answered_directly(tmp_path: Path, kind: str) -> None:
    async def scenario() -> None:
        async with open_listener(tmp_path) as harness:
            wire = await harness.connect(kind)
            assert await wire.ask("ping", identifier="p-1") == {"jsonrpc": "2.0", "id": "p-1", "result": {}}
            listed = await wire.ask("server.list")
            assert [each["id"] for each in listed["result"]["servers"]] == [each.id for each in TEN]
            await wire.close()

    asyncio.run(scenario())


def test_a_slow_read_does_not_hold_up_the_next(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_listener(tmp_path) as harness:
            wire = await harness.connect()
            wire.say({"jsonrpc": "2.0", "id": 1, "method": "slow.ping"})
            wire.say({"jsonrpc": "2.0", "id": 2, "method": "ping"})
            assert {(await wire.hear())["id"], (await wire.hear())["id"]} == {1, 2}
            await wire.close()

    asyncio.run(scenario())


@POSIX_ONLY
def test_hello_returns_the_daemon_and_its_methods(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_listener(tmp_path) as harness:
            wire = await harness.connect("unix")
            reply = await wire.ask("hello", {"protocol": 1, "client": HELLO["client"]})
            assert reply["result"]["instance_id"] == "i-1"
            assert reply["result"]["protocol"] == 1
            assert reply["result"]["version"] == "0.1.0"
            assert "server.ensure" in reply["result"]["capabilities"]
            await wire.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_protocol_is_refused_with_the_known_ones(tmp_path: Path, kind: str) -> None:
    async def scenario() -> None:
        async with open_listener(tmp_path) as harness:
            wire = await harness.connect(kind, greet=False)
            reply = await wire.ask("hello", {**HELLO, "protocol": 2})
            assert code(reply) == "PROTOCOL_UNSUPPORTED"
            assert reply["error"]["data"]["protocol"] == {"min": 1, "max": 1}
            await wire.close()

    asyncio.run(scenario())


def test_a_mutation_is_accepted_reported_and_answered_in_order(tmp_path: Path) -> None:
    def steps(requester: Requester) -> None:
        accept(requester)
        requester.progress("installing", "godot-ai 4.3.1", 3, 41)

    async def scenario() -> None:
        async with open_listener(tmp_path, work=Work(steps)) as harness:
            wire = await harness.connect()
            told = await wire.ask("server.ensure", ENSURE, 7)
            assert told["method"] == "accepted"
            assert told["params"] == {"id": 7, "request": "r-1", "joined": False, "deadline_s": 60}
            told = await wire.hear()
            assert told["method"] == "progress"
            assert told["params"] == {
                "id": 7,
                "request": "r-1",
                "stage": "installing",
                "message": "godot-ai 4.3.1",
                "done": 3,
                "total": 41,
            }
            told = await wire.hear()
            assert (told["id"], told["result"]["id"]) == (7, TEN[0].id)
            await wire.close()

    asyncio.run(scenario())


def test_a_mutation_in_flight_lets_reads_pass(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_listener(tmp_path, work=Work(accept, waits=True)) as harness:
            wire = await harness.connect()
            assert (await wire.ask("server.ensure", ENSURE, 1))["method"] == "accepted"
            assert (await wire.ask("ping", identifier=2))["result"] == {}
            harness.work.go_on.set()
            assert (await wire.hear())["id"] == 1
            await wire.close()

    asyncio.run(scenario())


def test_a_silent_mutation_has_a_heartbeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "HEARTBEAT_S", 0.05)

    async def scenario() -> None:
        async with open_listener(tmp_path, work=Work(accept, waits=True)) as harness:
            wire = await harness.connect()
            await wire.ask("server.ensure", ENSURE)
            for _ in range(2):
                beat = await wire.hear()
                assert beat["method"] == "progress"
                assert (beat["params"]["request"], beat["params"]["stage"]) == ("r-1", "waiting")
            harness.work.go_on.set()
            while "id" not in (reply := await wire.hear()):
                assert reply["params"]["stage"] == "waiting"
            assert harness.work.requester is not None
            harness.work.requester.progress("late", "nobody may hear this")
            assert (await wire.ask("ping", identifier=9))["id"] == 9
            await wire.close()

    asyncio.run(scenario())


def test_a_refusal_before_accepted_is_its_own_error(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_listener(tmp_path, work=Work(outcome=busy)) as harness:
            wire = await harness.connect()
            assert code(await wire.ask("server.ensure", ENSURE)) == "BUSY"
            await wire.close()

    asyncio.run(scenario())


def test_busy_after_accepted_is_a_defect_of_ours(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_listener(tmp_path, work=Work(accept, outcome=busy)) as harness:
            wire = await harness.connect()
            await wire.ask("server.ensure", ENSURE)
            assert code(await wire.hear()) == "INTERNAL"
            assert harness.events.named("request.failed")
            await wire.close()

    asyncio.run(scenario())


def test_a_cancelled_operation_is_answered_as_cancelled(tmp_path: Path) -> None:
    def cancelled() -> object:
        raise asyncio.CancelledError

    async def scenario() -> None:
        async with open_listener(tmp_path, work=Work(accept, outcome=cancelled)) as harness:
            wire = await harness.connect()
            await wire.ask("server.ensure", ENSURE)
            assert code(await wire.hear()) == "CANCELLED"
            assert not harness.events.named("request.failed")
            await wire.close()

    asyncio.run(scenario())


def test_a_daemon_that_shuts_down_answers_reads_only(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_listener(tmp_path) as harness:
            wire = await harness.connect()
            await wire.ask("ping")
            harness.listener.begin_shutdown()
            reply = await wire.ask("server.ensure", ENSURE)
            assert code(reply) == "SHUTTING_DOWN"
            assert reply["error"]["data"]["retryable"] is True
            assert (await wire.ask("ping"))["result"] == {}
            await wire.close()

    asyncio.run(scenario())


def test_typed_errors_reach_the_client_as_they_are(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_listener(tmp_path) as harness:
            wire = await harness.connect()
            reply = await wire.ask("server.get", {"server": "nobody"})
            assert reply["error"] == NotFound("no server nobody").to_wire()
            reply = await wire.ask("server.ensure", {"kind": "godot-ai", "owner": {"pid": "12"}})
            assert (code(reply), reply["error"]["data"]["field"]) == ("INVALID_PARAMS", "owner.pid")
            assert code(await wire.ask("server.explode")) == "METHOD_NOT_FOUND"
            assert not harness.events.entries
            await wire.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["crash", "nonsense", "unsendable"])
def test_a_defect_is_logged_under_the_reference_of_the_answer(tmp_path: Path, name: str) -> None:
    async def scenario() -> None:
        async with open_listener(tmp_path) as harness:
            wire = await harness.connect()
            reply = await wire.ask("server.get", {"server": name})
            assert code(reply) == "INTERNAL"
            (entry,) = harness.events.named("request.failed")
            assert entry["reference"] == reply["error"]["data"]["log"]
            assert entry["exc_info"].__traceback__ is not None
            assert "secret path" not in str(reply)
            assert entry["reference"] in reply["error"]["data"]["hint"]
            assert (await wire.ask("ping"))["result"] == {}
            await wire.close()

    asyncio.run(scenario())


def test_an_id_that_is_still_running_cannot_be_used_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_listener(tmp_path, work=Work(accept, waits=True)) as harness:
            wire = await harness.connect()
            await wire.ask("server.ensure", ENSURE, 5)
            assert code(await wire.ask("ping", identifier=5)) == "INVALID_REQUEST"
            harness.work.go_on.set()
            assert (await wire.hear())["id"] == 5
            assert (await wire.ask("ping", identifier=5))["result"] == {}
            await wire.close()

    asyncio.run(scenario())


def test_a_notification_gets_no_answer(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_listener(tmp_path) as harness:
            wire = await harness.connect()
            wire.say({"jsonrpc": "2.0", "method": "server.ensure", "params": ENSURE})
            assert (await wire.ask("ping", identifier=3))["id"] == 3
            assert not harness.work.begun.is_set()
            await wire.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("half", [True, False], ids=["half-open", "gone"])
def test_a_disconnected_client_cancels_its_mutation(tmp_path: Path, *, half: bool) -> None:
    async def scenario() -> None:
        async with open_listener(tmp_path, work=Work(accept, waits=True)) as harness:
            wire = await harness.connect()
            await wire.ask("server.ensure", ENSURE)
            if half:
                wire.writer.write_eof()
            else:
                wire.writer.transport.abort()
            await asyncio.wait_for(harness.work.ended.wait(), 10)
            assert harness.work.cancelled
            assert harness.work.requester is not None
            harness.work.requester.progress("late", "harmless")
            await until(lambda: not harness.all_connections.connections)
            assert not harness.events.entries
            await wire.close()

    asyncio.run(scenario())


@POSIX_ONLY
def test_another_users_connection_is_closed_without_reading(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_listener(tmp_path, peers=Peers(answer=False)) as harness:
            wire = await harness.connect()
            wire.say({"jsonrpc": "2.0", "id": 1, "method": "hello", "params": HELLO})
            assert await wire.rest() == b""
            assert harness.events.named("connection.refused")
            await wire.close()

    asyncio.run(scenario())


@POSIX_ONLY
def test_a_wrong_token_is_refused_on_the_unix_socket_too(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_listener(tmp_path) as harness:
            wire = await harness.connect()
            reply = await wire.ask("hello", {**HELLO, "token": "x"})
            assert code(reply) == "UNAUTHORIZED"
            assert TOKEN not in str(reply)
            await wire.close()

    asyncio.run(scenario())
