"""Soak: start, kill something at random, check that every server is where it belongs; again and again, from one seed.

In CI a short form. All of it: `pytest -m soak tests/e2e/test_soak.py`; SOAK_CYCLES and SOAK_SEED choose another one.
"""

import os
import random
import re
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakeHome
from tests.e2e.home import eventually, free_ports, lives
from tests.e2e.line import Line
from tests.e2e.project_servers import ProjectServers, serve_projects

PROJECTS = 5
"""Few, because a project's ports are remembered for ever."""

KIB = re.compile(r"^Private_Dirty: +(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True)
class Cost:
    """The resources of a daemon at one moment."""

    descriptors: int
    threads: int
    private_kib: int

    @classmethod
    def of(cls, pid: int) -> "Cost":
        """Return the resources of a process."""
        process = Path(f"/proc/{pid}")
        return cls(
            len(list((process / "fd").iterdir())),
            len(list((process / "task").iterdir())),
            sum(map(int, KIB.findall((process / "smaps_rollup").read_text()))),
        )

    @classmethod
    def median(cls, costs: list["Cost"]) -> "Cost":
        """Return the median of each resource."""
        columns = zip(*((cost.descriptors, cost.threads, cost.private_kib) for cost in costs), strict=True)
        return cls(*(round(statistics.median(column)) for column in columns))


class Soak:
    """Runs cycles one after the other."""

    def __init__(self, projects: ProjectServers, seed: int) -> None:
        self.projects = projects
        self.home = projects.home
        self.chance = random.Random(seed)
        self.told: Counter[str] = Counter()
        self.deeds: dict[str, Callable[[dict[str, Any], dict[str, Any]], None]] = {
            "owner": self.owner_killed,
            "server": self.server_killed,
            "both": self.both_killed,
            "client": self.client_vanishes,
            "stop": self.stopped,
            "restart": self.restarted,
            "replace": self.replaced,
            "lease": self.leased,
            "detach": self.detached,
        }

    def cycle(self) -> None:
        """An owner comes, its server runs, something happens, and in the end nothing is left."""
        process = self.home.owner()
        project = self.home.project(f"soaked-{self.chance.randrange(PROJECTS)}")
        owner = {"pid": process.pid, "project": project}
        server = self.projects.ensure(owner)
        deed = self.chance.choice(sorted(self.deeds))
        self.told[deed] += 1
        self.deeds[deed](owner, server)
        self.projects.settle()
        if process.poll() is None:
            self.projects.abandon(owner)
        eventually(
            lambda: not self.projects.processes(project) and self.projects.row(project) is None,
            f"{deed}: nothing is left",
        )
        process.wait()
        self.home.forget(process)

    def owner_killed(self, owner: dict[str, Any], _: dict[str, Any]) -> None:
        self.projects.abandon(owner)

    def server_killed(self, owner: dict[str, Any], server: dict[str, Any]) -> None:
        os.kill(server["root_pid"], signal.SIGKILL)
        self.comes_back(owner, server)

    def comes_back(self, owner: dict[str, Any], server: dict[str, Any]) -> None:
        def another() -> bool:
            row = self.projects.row(owner["project"])
            return row is not None and row["state"] == "ready" and row["root_pid"] != server["root_pid"]

        eventually(another, "the owner has a server again")

    def both_killed(self, owner: dict[str, Any], server: dict[str, Any]) -> None:
        os.kill(server["root_pid"], signal.SIGKILL)
        os.kill(owner["pid"], signal.SIGKILL)

    def client_vanishes(self, owner: dict[str, Any], server: dict[str, Any]) -> None:
        with Line(self.home) as line:
            line.send("server.restart", {"server": server["id"]})
            time.sleep(self.chance.random() * 0.05)
        assert lives(owner["pid"])

    def stopped(self, owner: dict[str, Any], server: dict[str, Any]) -> None:
        self.home.call("server.stop", {"server": server["id"]})
        assert not lives(server["root_pid"])
        assert lives(owner["pid"])

    def restarted(self, _: dict[str, Any], server: dict[str, Any]) -> None:
        assert self.home.call("server.restart", {"server": server["id"]})["root_pid"] != server["root_pid"]

    def replaced(self, owner: dict[str, Any], _: dict[str, Any]) -> None:
        self.projects.ensure(owner, "2.0")

    def leased(self, owner: dict[str, Any], server: dict[str, Any]) -> None:
        lease = self.home.call("lease.acquire", {"server": server["id"], "holder": "ci", "ttl_s": 60})
        os.kill(owner["pid"], signal.SIGKILL)
        eventually(lambda: self.liveness(owner) == "dead", "its death is noticed")
        assert lives(server["root_pid"])
        self.home.call("lease.release", {"lease": lease["id"]})

    def liveness(self, owner: dict[str, Any]) -> str | None:
        row = self.projects.row(owner["project"])
        return row["owners"][0]["liveness"] if row else None

    def detached(self, _: dict[str, Any], server: dict[str, Any]) -> None:
        self.home.call("editor.detach", {"editor": server["owners"][0]["editor"], "stop": True})

    def daemon_killed(self, owner: dict[str, Any], server: dict[str, Any]) -> None:
        """While it does nothing, or at any time of a restart."""
        with Line(self.home) as line:
            if self.chance.random() < 0.5:
                line.send("server.restart", {"server": server["id"]})
                time.sleep(self.chance.random() * 0.15)
            self.home.kill_daemon()
        self.home.start()
        self.projects.settle()
        row = self.projects.row(owner["project"])
        assert row is not None
        assert row["state"] == "ready"


def soak(make_home: MakeHome, seed: int, cycles: int, with_kills: int) -> tuple[list[Cost], Counter[str]]:
    """Run cycles of one daemon, then cycles in which it is killed as well. Return what the first ones cost."""
    ports = free_ports(8)
    home = make_home(ProjectServers.config(ports))
    home.start()
    story = Soak(serve_projects(home, ports), seed)
    costs = []
    pid = home.daemon_pid()
    assert pid is not None
    for _ in range(cycles):
        story.cycle()
        assert home.daemon_pid() == pid
        costs.append(Cost.of(pid))
    story.deeds["daemon"] = story.daemon_killed
    for number in range(with_kills):
        if number == 0:
            story.deeds, others = {"daemon": story.daemon_killed}, story.deeds
            story.cycle()
            story.deeds = others
        else:
            story.cycle()
    return costs, story.told


@pytest.mark.full
def test_a_short_soak_loses_nothing_and_leaves_nothing(make_home: MakeHome) -> None:
    costs, told = soak(make_home, seed=7, cycles=26, with_kills=4)
    assert len(told) > 6
    assert told["daemon"] >= 1
    early, late = Cost.median(costs[5:12]), Cost.median(costs[-7:])
    assert late.descriptors <= early.descriptors + 2, (early, late)
    assert late.threads <= early.threads + 4, (early, late)
    assert late.private_kib <= early.private_kib + 2048, (early, late)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_a_soak_loses_nothing_and_leaves_nothing(
    make_home: MakeHome, capsys: pytest.CaptureFixture[str], pytestconfig: pytest.Config
) -> None:
    if "soak" not in pytestconfig.option.markexpr:
        pytest.skip("asked for with -m soak")
    cycles, seed = int(os.environ.get("SOAK_CYCLES", "1000")), int(os.environ.get("SOAK_SEED", "1"))
    began = time.monotonic()
    costs, told = soak(make_home, seed, cycles=cycles * 4 // 5, with_kills=cycles // 5)
    tenths = [Cost.median(costs[len(costs) * n // 10 : len(costs) * (n + 1) // 10]) for n in range(10)]
    with capsys.disabled():
        sys.stdout.write(f"\nsoak, seed {seed}, {cycles} cycles, {time.monotonic() - began:.0f} s: {dict(told)}\n")
        sys.stdout.writelines(f"  {cost}\n" for cost in tenths)
    # The first tenths warm it up: it remembers the last 1000 events and 500 outcomes. Memory comes by the mebibyte.
    early, late = tenths[3], tenths[-1]
    assert late.descriptors <= early.descriptors + 2
    assert late.threads <= early.threads + 1
    assert late.private_kib <= early.private_kib + 3072
