"""Requests with ids that clients have chosen: repeated, cancelled, and found again after a reconnect."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from supervisor.control.pending import PendingRequests
from tests.transcript.stage import Stage
from tests.transcript.story import HELLO, StoryClient, greeted


def told(tmp_path: Path, story: Callable[[Stage, StoryClient], Awaitable[None]]) -> None:
    async def play(stage: Stage) -> None:
        shell = await greeted(stage, "shell")
        await story(stage, shell)
        await shell.ask("daemon.shutdown", servers=True)

    Stage(tmp_path).tell(play)


def test_a_repeated_stop_is_answered_after_its_server_is_forgotten(tmp_path: Path) -> None:
    async def story(_: Stage, shell: StoryClient) -> None:
        await shell.ask("server.ensure", kind="toy")
        first = await shell.ask("server.stop", server="toy", request="mine")
        assert (await shell.ask("server.get", server="toy"))["data"]["code"] == "NOT_FOUND"
        assert await shell.ask("server.stop", server="toy", request="mine") == first
        other = await shell.ask("server.stop", server="another", request="mine")
        assert other["data"]["code"] == "INVALID_PARAMS"
        assert (await shell.ask("server.stop", server="toy", request="yours"))["data"]["code"] == "NOT_FOUND"

    told(tmp_path, story)


def test_a_repeated_restart_is_answered_after_its_server_is_forgotten(tmp_path: Path) -> None:
    async def story(_: Stage, shell: StoryClient) -> None:
        await shell.ask("server.ensure", kind="toy")
        first = await shell.ask("server.restart", server="toy", request="mine")
        await shell.ask("server.stop", server="toy")
        again = await shell.ask("server.restart", server="toy", request="mine")
        assert (again["id"], again["since"]) == (first["id"], first["since"])

    told(tmp_path, story)


def test_a_repeated_ensure_is_answered_after_its_owner_ended(tmp_path: Path) -> None:
    async def story(stage: Stage, shell: StoryClient) -> None:
        born = await stage.happen("editor_starts")
        params: dict[str, Any] = {"kind": "toy", "owner": {"pid": born["pid"]}, "request": "mine"}
        first = await shell.ask("server.ensure", **params)
        stage.system.end(stage.system.processes[born["pid"]].identity, 0)
        again = await shell.ask("server.ensure", **params)
        assert (again["id"], again["since"]) == (first["id"], first["since"])
        other = await shell.ask("server.ensure", kind="another", request="mine")
        assert other["data"]["code"] == "INVALID_PARAMS"

    told(tmp_path, story)


def test_a_cancel_in_one_packet_with_its_request_finds_it(tmp_path: Path) -> None:
    async def story(_: Stage, shell: StoryClient) -> None:
        shell.say("server.ensure", kind="toy", request="mine")
        assert await shell.ask("request.cancel", request="mine") == {"goes_on": False}
        assert (await shell.ask("request.result", request="mine"))["data"]["code"] in {"CANCELLED", "NOT_FOUND"}
        assert (await shell.ask("server.list"))["servers"] == []

    told(tmp_path, story)


def test_a_pending_request_can_be_cancelled() -> None:
    """Before its admission, only `PendingRequests` knows a request."""

    async def story() -> None:
        pending = PendingRequests()

        async def arrive() -> None:
            with pending.cancellable("mine"):
                await asyncio.Event().wait()

        both = [asyncio.create_task(arrive()), asyncio.create_task(arrive())]
        await asyncio.sleep(0)
        assert not pending.cancel("yours")
        assert pending.cancel("mine")
        await asyncio.wait(both)
        assert all(task.cancelled() for task in both)
        assert not pending.cancel("mine")

    asyncio.run(story())


def test_a_cancel_that_is_too_late_reports_that_the_request_goes_on(tmp_path: Path) -> None:
    async def story(stage: Stage, shell: StoryClient) -> None:
        server = await shell.ask("server.ensure", kind="toy")
        stage.system.processes[server["process"]["pid"]].ignores_sigterm = True
        plugin = await greeted(stage, "plugin")
        plugin.say("server.stop", server="toy", request="mine")
        await plugin.told("progress", stage="stopping")
        # The other client has made no such request, although its name is the same, because both are connected.
        assert (await shell.ask("request.cancel", request="mine"))["data"]["code"] == "NOT_FOUND"
        plugin.say("request.cancel", request="mine")
        assert (await plugin.answer()) == {"goes_on": True}

    told(tmp_path, story)


def test_equal_request_ids_of_two_clients_are_different_requests(tmp_path: Path) -> None:
    async def story(stage: Stage, shell: StoryClient) -> None:
        editors = [(await stage.happen("editor_starts"))["pid"] for _ in range(2)]
        talks = [await greeted(stage, f"plugin-{number}") for number in range(2)]
        first = await talks[0].ask("server.ensure", kind="toy", owner={"pid": editors[0]}, request="1")
        second = await talks[1].ask("server.ensure", kind="toy", owner={"pid": editors[1]}, request="1")
        assert [owner["pid"] for owner in second["owners"]] == editors
        assert first["owners"] != second["owners"]
        stop = await talks[1].ask("server.stop", server="toy", request="2")
        assert stop["state"] == "stopped"
        # Each client finds its own request, by its connection or by its owner.
        for number, talk in enumerate(talks):
            own = await talk.ask("request.result", request="1")
            named = await shell.ask("request.result", request="1", owner={"pid": editors[number]})
            assert own["since"] == named["since"]
            assert len(own["owners"]) == len(named["owners"])
        assert (await shell.ask("request.result", request="1"))["data"]["code"] == "NOT_FOUND"
        assert (await talks[0].ask("request.cancel", request="2"))["data"]["code"] == "NOT_FOUND"

    told(tmp_path, story)


@pytest.mark.parametrize(
    ("changed", "told_field"),
    [
        ({"kind": "other"}, "kind"),
        ({"version": "2.0"}, "version"),
        ({"project": "/elsewhere"}, "project"),
        ({"ports": {"http": 8001}}, "ports"),
        ({"owner": None}, "owner"),
    ],
    ids=["kind", "version", "project", "ports", "owner"],
)
def test_one_id_has_one_meaning_and_the_difference_is_named(
    tmp_path: Path, changed: dict[str, Any], told_field: str
) -> None:
    async def story(stage: Stage, shell: StoryClient) -> None:
        pid = (await stage.happen("editor_starts"))["pid"]
        asked = {"kind": "toy", "owner": {"pid": pid}, "request": "1"}
        await shell.ask("server.ensure", **asked)
        other = await shell.ask(
            "server.ensure", **{key: value for key, value in {**asked, **changed}.items() if value is not None}
        )
        assert other["data"]["code"] == "INVALID_PARAMS"
        assert told_field in other["message"]
        assert "id" in await shell.ask("server.ensure", **asked)

    told(tmp_path, story)


def test_a_reused_editor_id_does_not_get_the_old_request(tmp_path: Path) -> None:
    """Ids of editors are reused."""

    async def story(stage: Stage, shell: StoryClient) -> None:
        outcomes = []
        for _ in range(2):
            pid = (await stage.happen("editor_starts"))["pid"]
            editor = await shell.ask("editor.attach", pid=pid, project=str(tmp_path))
            server = await shell.ask("server.ensure", kind="toy", editor=editor["id"], request="1")
            assert [owner["pid"] for owner in server["owners"]] == [pid]
            outcomes.append(editor["id"])
            await shell.ask("server.stop", server="toy")
            stage.system.end(stage.system.processes[pid].identity, 0)
            await asyncio.sleep(1)
        assert outcomes[0] == outcomes[1]

    told(tmp_path, story)


@pytest.mark.parametrize("instance", [None, "plugin-7f3a"])
def test_a_reconnected_client_finds_its_outcome(tmp_path: Path, instance: str | None) -> None:
    hello: dict[str, Any] = {**HELLO, "client": {"name": "plugin", "version": "1", "instance": instance}}
    other = {**HELLO, "client": {"name": "plugin", "version": "1", "instance": instance and "plugin-0000"}}

    async def story(stage: Stage, shell: StoryClient) -> None:
        pid = (await stage.happen("editor_starts"))["pid"]
        first, second, third = (StoryClient(stage, name) for name in ("first", "second", "third"))
        await first.ask("hello", **hello)
        await third.ask("hello", **other)
        server = await first.ask("server.ensure", kind="toy", owner={"pid": pid}, request="1")
        assert (await third.ask("request.result", request="1"))["data"]["code"] == "NOT_FOUND"
        first.leave()
        await asyncio.sleep(1)
        await second.ask("hello", **hello)
        assert (await second.ask("request.result", request="1"))["since"] == server["since"]
        await shell.ask("server.stop", server="toy")
        again = await second.ask("server.ensure", kind="toy", owner={"pid": pid}, request="1")
        assert again["since"] == server["since"]
        if instance is not None:
            assert (await third.ask("request.result", request="1"))["data"]["code"] == "NOT_FOUND"

    told(tmp_path, story)


def test_an_id_from_the_daemon_is_valid_for_every_client(tmp_path: Path) -> None:
    async def story(stage: Stage, shell: StoryClient) -> None:
        plugin = await greeted(stage, "plugin")
        plugin.say("server.ensure", kind="toy")
        accepted = await plugin.told("accepted")
        server = await plugin.answer()
        assert (await shell.ask("request.result", request=accepted["request"]))["since"] == server["since"]
        # A client that chooses an id like this gets its own request.
        stopped = await shell.ask("server.stop", server="toy", request=accepted["request"])
        assert stopped["state"] == "stopped"

    told(tmp_path, story)


def test_a_cancel_of_an_unknown_request_is_not_found(tmp_path: Path) -> None:
    async def story(_: Stage, shell: StoryClient) -> None:
        assert (await shell.ask("request.cancel", request="nobody's"))["data"]["code"] == "NOT_FOUND"

    told(tmp_path, story)


def test_a_health_check_counts_the_sessions(tmp_path: Path) -> None:
    async def story(stage: Stage, shell: StoryClient) -> None:
        born = await stage.happen("editor_starts")
        await shell.ask("server.ensure", kind="toy", owner={"pid": born["pid"]})
        assert (await shell.ask("server.get", server="toy"))["sessions"] is None
        assert (await shell.ask("server.get", server="toy", check=True))["sessions"] == 0

    told(tmp_path, story)


def test_an_impossible_owner_is_named_by_its_field(tmp_path: Path) -> None:
    async def story(_: Stage, shell: StoryClient) -> None:
        server = await shell.ask("server.ensure", kind="toy")
        refused = await shell.ask("server.ensure", kind="toy", owner={"pid": server["process"]["pid"]})
        assert (refused["data"]["code"], refused["data"]["field"]) == ("INVALID_PARAMS", "owner.pid")
        assert refused["message"].startswith("owner.pid: process ")

    told(tmp_path, story)
