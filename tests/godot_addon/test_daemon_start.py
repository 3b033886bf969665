"""Starts of the real daemon by the GDScript client, and the reasons for which it starts none."""

import json
import os
import stat
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from supervisor.client import start_file
from supervisor.errors import NotOurs
from supervisor.native.facts import Folders
from tests.e2e.conftest import MakeHome
from tests.e2e.home import eventually
from tests.godot_addon import addon_projects

pytestmark = [pytest.mark.needs_godot, pytest.mark.linux_only, pytest.mark.timeout(180)]

OPEN, CLOSE, START, ANSWER = ["open"], ["close"], ["start"], ["answer"]
STARTED, FAILED = ["wait", "daemon_started", 1, 60_000], ["wait", "start_failed", 1, 60_000]


def offer(folder: Path, **changes: Any) -> Path:
    """Write a start file as the daemon does, with some fields changed, and return the folder."""
    folder.mkdir(mode=0o700)
    how = start_file.describe(Folders(folder, moved=True), "0.1.0", service=False)
    start_file.publish(folder / "start.json", how._replace(**changes))
    return folder


def program(folder: Path, name: str, text: str) -> str:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o700)
    return str(path)


def leftovers(home: Path) -> list[str]:
    return [path.name for path in home.iterdir() if path.name.startswith("start-")]


def test_client_starts_the_daemon_and_finds_a_running_one(make_home: MakeHome, tmp_path: Path) -> None:
    """Once by a call, twice by a request that needs a daemon, and once where a daemon runs already."""
    home = make_home("")
    home.start()
    first = home.daemon_pid()
    home.cli("stop")
    assert stat.S_IMODE(home.folders.start_file.stat().st_mode) == 0o600
    odd = offer(tmp_path / "it's $HOME `odd`")
    folder = str(home.folders.home)
    ensure = ["send", "server.ensure", {"kind": "no-such-kind"}]
    cases = [
        {"home": folder, "steps": [OPEN, ensure, START, STARTED, ANSWER, START, CLOSE]},
        {"home": str(odd), "steps": [["may start"], OPEN, ensure, ensure, STARTED, ANSWER, CLOSE]},
    ]
    try:
        called, requested = addon_projects.run_cases(addon_projects.make(tmp_path / "project"), cases)
    finally:
        where = Folders(odd, moved=True)
        stop = [*start_file.describe(where, "0", service=False).command[:-1], "stop"]
        subprocess.run(stop, env={**os.environ, "GODOT_SUPERVISOR_HOME": str(odd)}, check=True, timeout=60)
    assert home.daemon_pid() not in (first, None)
    assert names(called) == ["sent", "disconnected", "daemon_started", "connected", "failed", "daemon_started"]
    assert names(requested) == ["sent", "sent", "disconnected", "daemon_started", "connected", "failed", "failed"]
    assert [entry[2]["code"] for entry in [*called, *requested] if entry[0] == "failed"] == ["KIND_UNKNOWN"] * 3
    assert leftovers(home.folders.home) == leftovers(odd) == []


def names(log: list[Any]) -> list[str]:
    return [entry[0] for entry in log]


def test_start_that_cannot_be_tells_its_reason_once(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    refusal = json.dumps(NotOurs("the home is not ours", hint="choose another").to_wire(), indent=2)
    says_why = program(tools, "refuses", f"echo a warning\ncat <<'END'\n{refusal}\nEND\nexit 5")
    breaks = program(tools, "breaks", "echo Traceback >&2; echo 'No module named supervisor' >&2; exit 1")
    homes: Mapping[str, tuple[Path, str, str]] = {
        "none": (tmp_path / "none", "not installed", "pipx install"),
        "gone": (offer(tmp_path / "gone", command=("/no/such/python", "start")), "has gone", "pipx install"),
        "refuses": (offer(tmp_path / "refuses", command=(says_why,)), "the home is not ours", "choose another"),
        "breaks": (offer(tmp_path / "breaks", command=(breaks,)), "No module named supervisor", "pipx install"),
        "open": (offer(tmp_path / "open", command=(says_why,)), "other users", "chmod"),
        "moved": (offer(tmp_path / "moved", home="/elsewhere"), "for another folder", "godot-supervisor start"),
        "relative": (offer(tmp_path / "relative", command=("sh",)), "damaged", "godot-supervisor start"),
        "later": (offer(tmp_path / "later", schema=2), "later release", "addon update"),
    }
    (tmp_path / "open" / "start.json").chmod(0o640)
    ensure = ["send", "server.ensure", {"kind": "toy"}]
    cases = [
        {"home": str(home), "steps": [["may start"], OPEN, ensure, FAILED, ANSWER, CLOSE]}
        for home, _, _ in homes.values()
    ]
    results = addon_projects.run_cases(addon_projects.make(tmp_path / "project"), cases)
    for (name, (home, message, hint)), log in zip(homes.items(), results, strict=True):
        reasons = [entry[-1] for entry in log if entry[0] in ("start_failed", "failed")]
        assert len(reasons) == 2, (name, log)
        for reason in reasons:
            assert message in reason["message"], (name, reason)
            assert hint in reason["hint"], (name, reason)
            assert reason["code"] == ("NOT_OURS" if name == "refuses" else "DAEMON_NOT_RUNNING"), (name, reason)
        assert not home.exists() or leftovers(home) == [], name


def test_settings_that_cannot_be_used_are_named(make_home: MakeHome, tmp_path: Path) -> None:
    home = make_home("[daemon]\nlog_level = 7\n")
    start_file.introduce(home.folders, "0.1.0")
    case = {"home": str(home.folders.home), "steps": [OPEN, START, FAILED, CLOSE]}
    (log,) = addon_projects.run_cases(addon_projects.make(tmp_path / "project"), [case])
    error = log[-1][1]
    assert (names(log), error["code"]) == (["disconnected", "start_failed"], "CONFIG_INVALID")
    assert "daemon.log_level: 7 is not a valid value" in error["message"]
    assert error["hint"]
    (home.folders.home / "config.toml").write_text("")


def test_editors_that_start_the_daemon_together_get_one(make_home: MakeHome, tmp_path: Path) -> None:
    home = make_home("")
    start_file.introduce(home.folders, "0.1.0")
    case = {"home": str(home.folders.home), "steps": [OPEN, START, STARTED, CLOSE]}
    projects = [addon_projects.make(tmp_path / name / "project") for name in ("one", "two")]
    with ThreadPoolExecutor() as pool:
        logs = [log for (log,) in pool.map(lambda project: addon_projects.run_cases(project, [case]), projects)]
    assert {entry[1]["instance_id"] for log in logs for entry in log if entry[0] == "connected"} == {
        json.loads(home.folders.endpoint.read_bytes())["instance_id"]
    }
    eventually(lambda: len(home.daemon_processes()) == 1, "the daemon that came second has ended")
