"""The story of the transcript: each method, both phases of a mutation, streams, refusals, and the shutdown."""

from typing import Any

from supervisor.wire import jsonrpc
from tests.transcript.stage import ENDPOINT, Line, Stage

CLIENT = {"name": "godot-supervisor", "version": ENDPOINT.version}
HELLO = {"protocol": 1, "token": ENDPOINT.token, "client": CLIENT}


class StoryClient:
    """One connection. Like the client library, it numbers its requests and sends one at a time."""

    def __init__(self, stage: Stage, name: str) -> None:
        self._stage = stage
        self._name = name
        self._calls = 0

    def say(self, method: str, **params: Any) -> None:
        self._calls += 1
        self._stage.send(self._name, {"frame": jsonrpc.request_envelope(self._calls, method, params)})

    def say_nonsense(self, raw: str) -> None:
        self._stage.send(self._name, {"raw": raw})

    def leave(self) -> None:
        self._stage.send(self._name, {"leaves": True})

    async def ask(self, method: str, **params: Any) -> Any:
        self.say(method, **params)
        return await self.answer()

    async def answer(self) -> Any:
        """Return the answer to the last request, its result or its error."""
        while True:
            frame = (await self._stage.hear(self._name))["frame"]
            if frame.get("id") == self._calls or "error" in frame:
                return frame.get("result", frame.get("error"))

    async def told(self, method: str, **params: Any) -> Line:
        """Return the params of the next notification of this method that has these params."""
        while True:
            frame = (await self._stage.hear(self._name))["frame"]
            if frame.get("method") == method and params.items() <= frame["params"].items():
                return dict(frame["params"])

    async def end(self) -> None:
        while not (await self._stage.hear(self._name)).get("closes"):
            pass


async def greeted(stage: Stage, name: str) -> StoryClient:
    talk = StoryClient(stage, name)
    await talk.ask("hello", **HELLO)
    return talk


async def story(stage: Stage) -> None:
    watcher = await greeted(stage, "watcher")
    await watcher.ask("events.subscribe")
    plugin, shell = await greeted(stage, "plugin"), await greeted(stage, "shell")
    editor = await attach(stage, plugin)
    await two_phases(stage, plugin, shell, editor)
    await looking(shell)
    await claims(stage, plugin, shell, editor)
    await ai_clients(stage, plugin, shell, editor)
    await logs_and_a_crash(stage, shell)
    await known_again(stage, plugin, shell, editor)
    await refusals(stage, shell)
    await streams(stage, shell)
    await farewell(stage, plugin, shell, editor)
    await watcher.end()


async def attach(stage: Stage, plugin: StoryClient) -> str:
    born = await stage.happen("editor_starts")
    info = await plugin.ask(
        "editor.attach", pid=born["pid"], project=str(stage.project), engine="godot", engine_version="4.4", name="Godot"
    )
    return str(info["id"])


async def two_phases(stage: Stage, plugin: StoryClient, shell: StoryClient, editor: str) -> None:
    """Show `accepted`, progress, a heartbeat, a refusal, two requests that join, and one result for all of them."""
    await plugin.ask("ping")
    plugin.say("server.ensure", kind="toy", editor=editor)
    accepted = await plugin.told("accepted")
    await shell.ask("server.stop", server="toy")
    script = await greeted(stage, "script")
    script.say("server.ensure", kind="toy", request="mine-1")
    await script.told("accepted")
    await shell.ask("request.result", request=accepted["request"])
    await plugin.answer()
    await script.answer()


async def looking(shell: StoryClient) -> None:
    await shell.ask("status")
    await shell.ask("server.list")
    await shell.ask("server.get", server="toy", check=True)
    await shell.ask("ports.explain", kind="toy")
    await shell.ask("reap", dry_run=True)


async def claims(stage: Stage, plugin: StoryClient, shell: StoryClient, editor: str) -> None:
    await plugin.ask("editor.state", editor=editor, state="busy", reason="importing")
    await shell.ask("server.restart", server="toy")
    await shell.ask("server.restart", server="toy", force=True)
    await shell.ask("server.history", server="toy")
    await plugin.ask("editor.state", editor=editor, state="ready")
    lease = await shell.ask("lease.acquire", server="toy", holder="a script", ttl_s=60)
    await stage.happen("time_passes", seconds=10)
    await shell.ask("lease.renew", lease=lease["id"])
    await plugin.ask("server.release", server="toy", editor=editor)
    await plugin.ask("server.ensure", kind="toy", editor=editor)
    await shell.ask("lease.release", lease=lease["id"])


async def ai_clients(stage: Stage, plugin: StoryClient, shell: StoryClient, editor: str) -> None:
    """Show how an AI client introduces itself, and what becomes of calls that meet another call or a busy editor."""
    bridge, other = await greeted(stage, "bridge"), await greeted(stage, "other-bridge")
    born = await stage.happen("editor_starts")
    said = {"name": "claude-code", "version": "2.1.0", "title": "Claude Code"}
    client = await bridge.ask("client.attach", pid=born["pid"], client=said, project=str(stage.project))
    await bridge.ask("server.ensure", kind="toy", owner={"pid": born["pid"], "client": said})
    await bridge.ask("call.begin", server="toy", call=1, tool="scene_create")
    other.say("call.begin", server="toy", call=1, tool="scene_open")
    await shell.ask("status")
    await bridge.ask("call.end", call=1)
    await other.answer()
    await bridge.ask("call.begin", server="toy", call=2, tool="scene_save")
    await bridge.ask("call.begin", server="toy", call=3, tool="scene_list", read_only=True)
    await bridge.ask("call.end", call=4)
    other.leave()
    watcher = await greeted(stage, "call-watcher")
    await watcher.ask("events.subscribe", calls=True)
    await bridge.ask("call.report", calls=3, running=[{"call": 5, "server": "toy", "tool": "logs_read"}])
    await watcher.told("calls", servers=["toy"])
    watcher.leave()
    await shell.ask("server.get", server="toy")
    await plugin.ask("editor.state", editor=editor, state="busy", reason="importing", ttl_s=10)
    await bridge.ask("call.begin", server="toy", call=6, tool="scene_save")
    await plugin.ask("editor.state", editor=editor, state="ready")
    await bridge.ask("server.release", server="toy", editor=client["id"])
    bridge.leave()


async def logs_and_a_crash(stage: Stage, shell: StoryClient) -> None:
    await stage.happen("server_writes", server="toy", text="listening\nfirst request\n")
    reader = await greeted(stage, "reader")
    await reader.ask("logs.read", server="toy", lines=1, follow=True)
    await stage.happen("server_writes", server="toy", text="second request\n")
    await reader.told("log", lines=["second request"])
    server = await shell.ask("server.get", server="toy")
    await stage.happen("server_is_killed", pid=server["process"]["pid"])
    await stage.happen("time_passes", seconds=10)
    await stage.happen("server_writes", server="toy", text="listening again\n")
    await reader.told("log", lines=["listening again"])
    await shell.ask("server.stop", server="toy")
    await reader.told("log", ended=True)
    reader.leave()


async def known_again(stage: Stage, plugin: StoryClient, shell: StoryClient, editor: str) -> None:
    """Cancel a request, and repeat a request after its connection was lost."""
    plugin.say("server.ensure", kind="toy", editor=editor, request="mine-2")
    await plugin.told("accepted")
    await shell.ask("request.cancel", request="mine-2", editor=editor)
    await plugin.answer()
    lost = await greeted(stage, "lost")
    lost.say("server.ensure", kind="toy", editor=editor, request="mine-3")
    await lost.told("accepted")
    lost.leave()
    await plugin.ask("server.ensure", kind="toy", editor=editor, request="mine-3")
    await shell.ask("request.result", request="mine-3", editor=editor)


async def refusals(stage: Stage, shell: StoryClient) -> None:
    await shell.ask("server.migrate", server="toy")
    await shell.ask("server.adopt", port=8019)
    await shell.ask("server.get")
    await shell.ask("server.ensure", kind="toy", editor="nobody", owner={"pid": 1})
    await shell.ask("server.ensure", kind="no-such-kind")
    await shell.ask("server.get", server="no-such-server")
    await shell.ask("request.result", request="no-such-request")
    babbler = await greeted(stage, "babbler")
    babbler.say_nonsense("this is no JSON")
    await babbler.answer()
    babbler.leave()


async def streams(stage: Stage, shell: StoryClient) -> None:
    """Resume a stream, ask for one of another daemon, and let a client stop reading."""
    late = await greeted(stage, "late")
    answer = await late.ask("events.subscribe")
    late.leave()
    lease = await shell.ask("lease.acquire", server="toy", holder="another script", ttl_s=30)
    again = await greeted(stage, "again")
    await again.ask("events.subscribe", since={"instance_id": answer["instance_id"], "seq": answer["seq"]})
    await again.told("event", event="lease.acquired")
    again.leave()
    elsewhere = await greeted(stage, "elsewhere")
    await elsewhere.ask("events.subscribe", since={"instance_id": "another-daemon", "seq": 5})
    await elsewhere.told("resync")
    await stage.happen("client_sleeps", connection="elsewhere")
    await shell.ask("lease.release", lease=lease["id"])
    await elsewhere.end()


async def farewell(stage: Stage, plugin: StoryClient, shell: StoryClient, editor: str) -> None:
    await stage.happen("configuration_changes")
    await shell.ask("daemon.reload")
    await shell.ask("environments.list")
    await shell.ask("environments.prune", dry_run=True)
    await plugin.ask("editor.detach", editor=editor)
    await shell.ask("daemon.shutdown", servers=True)
    await shell.end()
