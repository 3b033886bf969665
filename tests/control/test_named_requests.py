"""Requests that carry an id of their client's, from their frame to their outcome: sent again, and cancelled."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from supervisor.control.arrivals import Arrivals
from tests.transcript.stage import Stage
from tests.transcript.story import Talk, greeted


def told(tmp_path: Path, story: Callable[[Stage, Talk], Awaitable[None]]) -> None:
    async def play(stage: Stage) -> None:
        shell = await greeted(stage, "shell")
        await story(stage, shell)
        await shell.ask("daemon.shutdown", servers=True)

    Stage(tmp_path).tell(play)


def test_a_stop_that_is_sent_again_is_answered_though_its_server_is_forgotten(tmp_path: Path) -> None:
    async def story(_: Stage, shell: Talk) -> None:
        await shell.ask("server.ensure", kind="toy")
        first = await shell.ask("server.stop", server="toy", request="mine")
        assert (await shell.ask("server.get", server="toy"))["data"]["code"] == "NOT_FOUND"
        assert await shell.ask("server.stop", server="toy", request="mine") == first
        other = await shell.ask("server.stop", server="another", request="mine")
        assert other["data"]["code"] == "INVALID_PARAMS"
        assert (await shell.ask("server.stop", server="toy", request="yours"))["data"]["code"] == "NOT_FOUND"

    told(tmp_path, story)


def test_a_restart_that_is_sent_again_is_answered_though_its_server_is_forgotten(tmp_path: Path) -> None:
    async def story(_: Stage, shell: Talk) -> None:
        await shell.ask("server.ensure", kind="toy")
        first = await shell.ask("server.restart", server="toy", request="mine")
        await shell.ask("server.stop", server="toy")
        again = await shell.ask("server.restart", server="toy", request="mine")
        assert (again["id"], again["since"]) == (first["id"], first["since"])

    told(tmp_path, story)


def test_an_ensure_that_is_sent_again_is_answered_though_its_owner_has_ended(tmp_path: Path) -> None:
    async def story(stage: Stage, shell: Talk) -> None:
        born = await stage.happen("editor_starts")
        params: dict[str, Any] = {"kind": "toy", "owner": {"pid": born["pid"]}, "request": "mine"}
        first = await shell.ask("server.ensure", **params)
        stage.system.end(stage.system.processes[born["pid"]].identity, 0)
        again = await shell.ask("server.ensure", **params)
        assert (again["id"], again["since"]) == (first["id"], first["since"])
        other = await shell.ask("server.ensure", kind="another", request="mine")
        assert other["data"]["code"] == "INVALID_PARAMS"

    told(tmp_path, story)


def test_a_cancel_that_comes_in_one_piece_with_its_request_finds_it(tmp_path: Path) -> None:
    async def story(_: Stage, shell: Talk) -> None:
        shell.say("server.ensure", kind="toy", request="mine")
        assert await shell.ask("request.cancel", request="mine") == {"goes_on": False}
        assert (await shell.ask("request.result", request="mine"))["data"]["code"] in {"CANCELLED", "NOT_FOUND"}
        assert (await shell.ask("server.list"))["servers"] == []

    told(tmp_path, story)


def test_a_request_that_is_still_looking_can_be_cancelled() -> None:
    """Before its admission, nobody but its arrival knows it."""

    async def story() -> None:
        arrivals = Arrivals()

        async def arrive() -> None:
            with arrivals.noted("mine"):
                await asyncio.Event().wait()

        both = [asyncio.create_task(arrive()), asyncio.create_task(arrive())]
        await asyncio.sleep(0)
        assert not arrivals.cancel("yours")
        assert arrivals.cancel("mine")
        await asyncio.wait(both)
        assert all(task.cancelled() for task in both)
        assert not arrivals.cancel("mine")

    asyncio.run(story())


def test_what_cannot_be_undone_any_more_is_said_to_go_on(tmp_path: Path) -> None:
    async def story(stage: Stage, shell: Talk) -> None:
        server = await shell.ask("server.ensure", kind="toy")
        stage.system.processes[server["process"]["pid"]].ignores_sigterm = True
        plugin = await greeted(stage, "plugin")
        plugin.say("server.stop", server="toy", request="mine")
        await plugin.told("progress", stage="stopping")
        assert await shell.ask("request.cancel", request="mine") == {"goes_on": True}
        assert (await plugin.answer())["state"] == "stopped"

    told(tmp_path, story)


def test_a_cancel_of_what_nobody_knows_is_not_found(tmp_path: Path) -> None:
    async def story(_: Stage, shell: Talk) -> None:
        assert (await shell.ask("request.cancel", request="nobody's"))["data"]["code"] == "NOT_FOUND"

    told(tmp_path, story)


def test_sessions_are_counted_when_a_server_is_asked_whether_it_is_well(tmp_path: Path) -> None:
    async def story(stage: Stage, shell: Talk) -> None:
        born = await stage.happen("editor_starts")
        await shell.ask("server.ensure", kind="toy", owner={"pid": born["pid"]})
        assert (await shell.ask("server.get", server="toy"))["sessions"] is None
        assert (await shell.ask("server.get", server="toy", check=True))["sessions"] == 0

    told(tmp_path, story)


def test_an_owner_that_cannot_be_is_called_what_it_was_called(tmp_path: Path) -> None:
    async def story(_: Stage, shell: Talk) -> None:
        server = await shell.ask("server.ensure", kind="toy")
        refused = await shell.ask("server.ensure", kind="toy", owner={"pid": server["process"]["pid"]})
        assert (refused["data"]["code"], refused["data"]["field"]) == ("INVALID_PARAMS", "owner.pid")
        assert refused["message"].startswith("owner.pid: process ")

    told(tmp_path, story)
