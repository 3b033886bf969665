"""The daemon is killed at every step of every operation, and the next one has to make the best of it.

A step is what the daemon tells (an event) or writes (its registry). It is held there, from outside, and killed; the
next round lets one step more happen, until the operation is over. Which steps there were is compared with a table, so
a step that was never hit fails, and so does a new one that is not in the table.
"""

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.home import PATIENCE_S, Home, eventually, free_ports, lives, stat_fields
from tests.e2e.project_servers import ProjectServers, serve_projects
from tests.e2e.turnstile import AT_ONCE_S, Drafts, Overtaken, Request, Turnstile
from tests.gates import rest_in_full

ROUNDS = 40
"""No operation has so many steps."""

PORTS = 5

TRIES = 8
"""How often a round is played again whose event may not be a step."""

OVERTAKEN_MAX = 40
"""How often a round is played again whose write could not be held, which is often so on a busy machine."""


class Story:
    """An operation, from before it begins to what has to be true after the daemon was killed in it."""

    steps: tuple[str, ...]
    """The events, in order; at each the daemon is killed."""
    writes: tuple[str, ...]
    """The server's state in each write of the registry; before each write the daemon is killed."""
    stages: tuple[str, ...] = ()
    """The stages of `progress`, in order."""
    request: Request | None = None

    def __init__(self, projects: ProjectServers) -> None:
        self.projects = projects
        self.owner: dict[str, Any] = {}

    def prepare(self) -> None:
        """Prepare what the operation needs."""

    def begin(self) -> None:
        """Set it off."""

    def over(self, told: list[str]) -> bool:  # noqa: ARG002 (others need it)
        """Whether it has come to its end."""
        return self.request is not None and self.request.over

    def check(self, before: "Scene") -> None:
        """Check the server once a new daemon has settled. The story ends as it has begun: with nothing."""

    def ask(self, method: str, params: dict[str, Any]) -> None:
        self.request = Request(self.projects.home, method, params).begin()


@dataclass(frozen=True)
class Scene:
    """The state that the killed daemon left. `state`: the server's in the registry; `pids`: the servers that lived."""

    state: str
    pids: list[int]


class Ensure(Story):
    steps = (
        "editor.attached",
        "flight.started",
        "server.planned",
        "server.spawned",
        "server.state ready",
        "flight.ended",
    )
    writes = ("none", "starting", "starting, planned", "starting, spawned")
    stages = ("deciding", "starting")

    def prepare(self) -> None:
        self.owner = self.projects.claim()

    def begin(self) -> None:
        self.ask("server.ensure", {"kind": "mini", "owner": self.owner})

    def check(self, before: Scene) -> None:
        survivors = self.projects.processes(self.owner["project"])
        assert set(survivors) >= set(before.pids), "what had been spawned lives"
        # A server that was being spawned when its daemon was killed may not have been seen yet.
        daemon = self.projects.home.daemon_pid()
        assert all(began(pid) < began(daemon) for pid in survivors), "and nothing was spawned beside it"
        row = self.projects.row(self.owner["project"])
        if survivors:
            assert row is not None
            assert (row["state"], row["root_pid"]) == ("ready", survivors[0])
            assert [owner["pid"] for owner in row["owners"]] == [self.owner["pid"]]
        server = self.projects.ensure(self.owner)
        assert not survivors or server["root_pid"] == survivors[0]
        self.projects.settle()
        self.projects.abandon(self.owner)


class Stop(Story):
    steps = (
        "flight.started",
        "server.state stopping",
        "signal.sent",
        "server.state stopped",
        "server.stopped",
        "server.gone",
        "flight.ended",
    )
    writes = ("ready", "stopping")
    stages = ("stopping",)
    method = "server.stop"

    def prepare(self) -> None:
        self.owner = self.projects.claim()
        self.server = self.projects.ensure(self.owner)

    def begin(self) -> None:
        self.ask(self.method, {"server": self.server["id"]})

    def check(self, before: Scene) -> None:
        row = self.projects.row(self.owner["project"])
        if before.state == "ready" and before.pids:
            assert row is not None, "a stop that nobody knew of any more is not finished"
            assert row["root_pid"] == self.server["root_pid"]
            self.projects.home.call("server.stop", {"server": row["id"]})
        else:
            assert row is None, "the next daemon finishes a stop that a user asked for"
        assert not self.projects.processes(self.owner["project"])
        assert lives(self.owner["pid"])
        self.projects.abandon(self.owner)


class Restart(Stop):
    steps = (
        "flight.started",
        "server.state stopping",
        "signal.sent",
        "server.state stopped",
        "server.stopped",
        "server.state starting",
        "server.planned",
        "server.spawned",
        "server.state ready",
        "flight.ended",
    )
    writes = ("ready", "stopping", "starting, planned", "starting, spawned")
    stages = ("stopping", "deciding", "starting")
    method = "server.restart"

    def check(self, before: Scene) -> None:  # noqa: ARG002 (it does not matter)
        owner_has_its_server(self.projects, self.owner, "1.0")
        self.projects.abandon(self.owner)


class Replace(Restart):
    steps = (*Restart.steps[:-1], "server.replaced", "flight.ended")
    stages = ("deciding", "replacing", "stopping", "deciding", "starting")

    def begin(self) -> None:
        self.ask("server.ensure", {"kind": "mini", "owner": self.owner, "version": "2.0"})

    def check(self, before: Scene) -> None:
        version = owner_has_its_server(self.projects, self.owner, "1.0", "2.0")["version"]
        assert version == "1.0" or "planned" in before.state or "spawned" in before.state or before.state == "ready"
        self.projects.ensure(self.owner, "2.0")
        self.projects.settle()
        self.projects.abandon(self.owner)


class Adopt(Story):
    steps = ("editor.attached", "flight.started", "server.adopted", "server.state ready", "flight.ended")
    writes = ("none", "starting")
    stages = ("deciding",)

    def prepare(self) -> None:
        self.owner = self.projects.claim()
        self.foreign_server = self.projects.foreign_server()

    def begin(self) -> None:
        self.ask("server.adopt", {"pid": self.foreign_server, "owner": self.owner})

    def check(self, before: Scene) -> None:  # noqa: ARG002 (it does not matter)
        assert lives(self.foreign_server), "nobody has asked for its end"
        adopted = self.projects.home.call("server.adopt", {"pid": self.foreign_server, "owner": self.owner})
        assert (adopted["process"]["pid"], adopted["origin"]) == (self.foreign_server, "adopted")
        self.projects.settle()
        self.projects.abandon(self.owner)
        eventually(lambda: not lives(self.foreign_server), "the adopted server goes with its owner")


class Reap(Stop):
    steps = (
        "editor.ended",
        "server.suspected",
        "flight.started",
        "server.reaped",
        "server.state stopping",
        "signal.sent",
        "server.state stopped",
        "server.stopped",
        "server.gone",
        "flight.ended",
        "editor.gone",
    )
    writes = ("ready", "stopping", "none")
    stages = ()

    def begin(self) -> None:
        os.kill(self.owner["pid"], signal.SIGKILL)

    def over(self, told: list[str]) -> bool:
        return told[-1] == "editor.gone"

    def check(self, before: Scene) -> None:  # noqa: ARG002 (it does not matter)
        self.projects.abandon(self.owner)


class Recover(Stop):
    """A server has ended by itself while its owner lives."""

    steps = (
        "flight.started",
        "server.exited",
        "server.state backoff",
        "server.state starting",
        "server.planned",
        "server.spawned",
        "server.state ready",
        "flight.ended",
    )
    writes = ("ready", "starting, planned", "starting, spawned")
    stages = ()

    def begin(self) -> None:
        os.kill(self.server["root_pid"], signal.SIGKILL)

    def over(self, told: list[str]) -> bool:
        return told[-1] == "flight.ended"

    def check(self, before: Scene) -> None:  # noqa: ARG002 (it does not matter)
        owner_has_its_server(self.projects, self.owner, "1.0")
        self.projects.abandon(self.owner)


STORIES = (Ensure, Stop, Restart, Replace, Adopt, Reap, Recover)


def owner_has_its_server(projects: ProjectServers, owner: dict[str, Any], *versions: str) -> dict[str, Any]:
    row = eventually(lambda: projects.row(owner["project"]), "the owner has its server again")
    assert (row["state"], row["version"] in versions) == ("ready", True), row
    assert projects.processes(owner["project"]) == [row["root_pid"]]
    assert [held["pid"] for held in row["owners"]] == [owner["pid"]]
    return row


def began(pid: int | None) -> int:
    """When a process was started, ticks since the boot."""
    assert pid is not None
    return int(stat_fields(pid)[19])


def scene(story: Story) -> Scene:
    """Return what lies on the disk, and what lives."""
    project = story.owner["project"]
    rows = json.loads(story.projects.home.folders.registry.read_text())["servers"]
    row = next((row for row in rows if row["project"] == project), None)
    pids = [pid for pid in story.projects.processes(project) if lives(pid)]
    if row is None:
        return Scene("none", pids)
    began = ", spawned" if row["root"] else ", planned" if row["launch"] else ""
    return Scene(row["state"] + (began if row["state"] == "starting" else ""), pids)


def kill_at_event(story: Story, daemon: Turnstile, passed: int) -> str | None:
    """Let so many events happen, and kill the daemon at the next; which it was. None: there is none."""
    daemon.close()
    already = len(daemon.told)
    story.begin()
    end = time.monotonic() + PATIENCE_S
    while True:
        assert time.monotonic() < end, daemon.told[already:]
        if daemon.waiting(AT_ONCE_S):
            if len(daemon.told) - already == passed:
                return daemon.kill()
            daemon.step()
        elif story.over(daemon.told[already:] or [""]) and not daemon.waiting(0.05):
            daemon.open()
            return None


def hold_at_write(story: Story, daemon: Turnstile, drafts: Drafts, passed: int) -> bool:
    """Let the registry be written so often, and hold the daemon before the next time. False: there is none."""
    daemon.close()
    already = len(daemon.told)
    story.begin()
    end = time.monotonic() + PATIENCE_S
    while True:
        assert time.monotonic() < end, daemon.told[already:]
        if drafts.held(AT_ONCE_S):
            if drafts.writes == passed:
                return True
            with daemon.blocked():
                drafts.let_through()
        elif daemon.waiting():
            daemon.step()
        elif story.over(daemon.told[already:] or [""]) and not drafts.held(0.05) and not daemon.waiting():
            daemon.open()
            return False


def at_each_event(story: Story, daemon: Turnstile) -> tuple[str, ...]:
    """Play it again and again, the daemon killed one event later each time. Which these were."""
    hit: list[str] = []
    again = 0
    while len(hit) < ROUNDS:
        story.prepare()
        story.projects.settle()
        event = kill_at_event(story, daemon, len(hit))
        if event is None:
            break
        if again < TRIES and (event,) != story.steps[len(hit) : len(hit) + 1]:
            # On a slow machine other events may come in between. Only an event that comes every time is a step.
            again += 1
        else:
            hit.append(event)
        daemon = go_on(story)
    if story.request is not None:
        assert story.request.error is None
        assert tuple(story.request.stages) == story.stages
    daemon.kill()
    return tuple(hit)


def before_each_write(story: Story, daemon: Turnstile) -> tuple[str, ...]:
    """Do the same with the writes of the registry. Some of its states may share a write."""
    hit: list[str] = []
    overtaken = 0
    while len(hit) < ROUNDS:
        story.prepare()
        story.projects.settle()
        drafts = Drafts(story.projects.home)
        try:
            held = hold_at_write(story, daemon, drafts, len(hit))
        except Overtaken:
            overtaken += 1
            assert overtaken < OVERTAKEN_MAX, "the daemon's writes cannot be held here"
            held = None
        daemon.kill()
        # Killed while it drafts, and killed when the draft and the old registry have changed places.
        drafts.keep(torn=len(hit) % 2 == 0)
        if held is False:
            break
        hit += [scene(story).state] if held else []
        daemon = go_on(story)
    return tuple(state for state, before in zip(hit, [None, *hit], strict=False) if state != before)


def go_on(story: Story) -> Turnstile:
    """The next daemon, once it has made the best of what it found."""
    before = scene(story)
    daemon = Turnstile(story.projects.home)
    story.projects.settle()
    story.check(before)
    return daemon


Play = Callable[[Story, Turnstile], tuple[str, ...]]


@pytest.mark.parametrize("play", [at_each_event, before_each_write], ids=lambda play: play.__name__)
@pytest.mark.parametrize("tells", rest_in_full(STORIES, 2), ids=lambda tells: tells.__name__.lower())
@pytest.mark.timeout(600)
def test_killed_at_each_step_no_server_is_lost_or_doubled(tmp_path: Path, tells: type[Story], play: Play) -> None:
    ports = free_ports(PORTS)
    home = Home(tmp_path, ProjectServers.config(ports))
    try:
        daemon = Turnstile(home)
        hit = play(tells(serve_projects(home, ports)), daemon)
    finally:
        home.clear()
    assert hit == (tells.steps if play is at_each_event else tells.writes)
