"""The service in a real systemd, booted for it: whatever happens to the daemon, the pid of the server stays the same.

SYSTEMD_SUITES="bookworm trixie" runs it on systemd 252 and 257; without it the first will do.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.home import SERVERS
from tests.privilege import IS_ROOT
from tests.test_packaging import REPOSITORY
from tests.test_packaging import wheel as wheel  # noqa: PLC0414 (a fixture)

LAB = REPOSITORY / "tests" / "lab"
STORY = Path(__file__).with_name("systemd_story.py")
TOOLS = "/opt/tools, 100% $HOME"
NOT_HERE = 77
SUITES = os.environ.get("SYSTEMD_SUITES", "bookworm").split()

LINUX_WITH_PACKAGES = sys.platform == "linux" and (shutil.which("apt-get") or shutil.which("debootstrap"))

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.needs_index,
    pytest.mark.linux_only,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not IS_ROOT, reason="only root can boot a systemd (tests/lab/systemd_tree)"),
    pytest.mark.skipif(not LINUX_WITH_PACKAGES, reason="a systemd is booted from a Debian (tests/lab/systemd_tree)"),
]

Chapters = dict[str, dict[str, Any]]
Check = Callable[[Chapters], None]

CHECKS: list[Check] = []


def holds(check: Check) -> Check:
    """Register a check, which runs by itself after the story has been played once."""
    CHECKS.append(check)
    return check


def requirements() -> list[str]:
    found: list[str] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "dependencies"
    ]
    return found


def tree(suite: str) -> str:
    made = subprocess.run(
        [LAB / "systemd_tree", *requirements()],
        env={**os.environ, "SUITE": suite, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        pytest.skip(f"no systemd to boot: {made.stderr.strip()}")
    return made.stdout.strip()


def play(suite: str, wheel: Path, shared: Path) -> Chapters:
    """The whole story, played in one boot."""
    shared.mkdir(mode=0o755)
    for file in (wheel, STORY, SERVERS / "toy.py"):
        shutil.copy(file, shared)
    tool = f"'{TOOLS}/bin/python'"
    install = f"{tool} -m pip install --quiet --no-index --no-deps /shared/{wheel.name}"
    story = f"{install} && {tool} /shared/{STORY.name} {tool} /shared/toy.py"
    done = subprocess.run(
        [LAB / "booted", tree(suite), shared, "bash", "-c", story], capture_output=True, text=True, check=False
    )
    if done.returncode == NOT_HERE:
        pytest.skip(f"nothing can be booted here: {done.stderr.strip()}")
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"chapter"')]
    return {line["chapter"]: line for line in lines}


@holds
def it_is_installed_from_the_wheel_enabled_and_running(told: Chapters) -> None:
    assert told["dry run"]["code"] == 0
    assert (told["dry run"]["written"], told["dry run"]["daemon"]) == (False, None)
    install = told["install"]
    assert install["code"] == 0, install["err"]
    assert (install["enabled"], install["state"]) == ("enabled", "active")
    assert install["daemon"] == install["main"] > 0
    assert [step["what"] for step in install["steps"]] == [
        "/home/dev/.config/systemd/user/godot-supervisor.service",
        "systemctl --user daemon-reload",
        "systemctl --user enable godot-supervisor.service",
        "systemctl --user start godot-supervisor.service",
    ]
    assert install["settings"] == {
        "KillMode": "process",
        "OOMPolicy": "continue",
        "UMask": "0077",
        "Type": "notify",
        "WatchdogUSec": "30s",
    }


@holds
def systemd_finds_nothing_to_say_of_the_unit(told: Chapters) -> None:
    verify = told["verify"]
    assert (verify["code"], verify["out"], verify["err"]) == (0, "", "")


@holds
def again_there_is_nothing_to_do(told: Chapters) -> None:
    assert (told["again"]["code"], told["again"]["out"]) == (0, "nothing to do\n")
    assert told["again"]["daemon"] == told["install"]["daemon"]
    report = told["status"]["report"]
    assert told["status"]["code"] == 0
    assert (report["differences"], report["lingering"], report["state"]) == ([], True, "active")


SURVIVES = (
    "restart", "SIGKILL", "restart, watched closely", "hang", "restart --daemon", "good configuration", "repaired",
    "start by the command", "both at once", "started by an editor", "handed over",
)  # fmt: skip


@holds
def another_daemon_finds_the_same_server(told: Chapters) -> None:
    for chapter in SURVIVES:
        found = told[chapter]
        assert found["server_lives"], chapter
        assert found["known"], chapter
        assert found["after"] not in (None, found["before"]), chapter


@holds
def without_a_daemon_the_server_goes_on(told: Chapters) -> None:
    for chapter in ("bad configuration", "stop", "uninstall"):
        assert told[chapter]["server_lives"], chapter
        assert told[chapter]["after"] is None, chapter


@holds
def the_daemon_stays_the_services(told: Chapters) -> None:
    for chapter in ["restart", "SIGKILL", "hang", "restart --daemon", "repaired", "start by the command"]:
        assert told[chapter]["after"] == told[chapter]["main"], chapter


@holds
def a_daemon_that_hangs_is_seen_by_the_watchdog(told: Chapters) -> None:
    assert told["hang"]["result"] == "watchdog"


@holds
def a_configuration_that_cannot_be_used_is_not_tried_again(told: Chapters) -> None:
    bad = told["bad configuration"]
    assert (bad["state"], bad["status"], bad["restarts"]) == ("failed", "78", "0")
    assert "daemon.log_levle" in bad["journal"]
    assert told["good configuration"]["code"] == 0


@holds
def an_installation_that_has_moved_is_noticed_and_repaired(told: Chapters) -> None:
    assert told["moved"]["code"] == 1
    assert [difference.split()[0] for difference in told["moved"]["differences"]] == ["written", "it"]
    assert told["repaired"]["code"] == 0
    assert (told["as it was"]["same"], told["as it was"]["code"]) == (True, 0)


@holds
def whoever_comes_second_says_who_runs_and_exits_0(told: Chapters) -> None:
    running = told["start by the command"]["after"]
    assert told["second"]["codes"] == [0, 0]
    assert [out.split(",")[0] for out in told["second"]["out"]] == [f"already running: pid {running}"] * 2


@holds
def all_ways_at_once_end_in_one_daemon(told: Chapters) -> None:
    assert set(told["both at once"]["codes"]) == {0}
    assert told["both at once"]["result"] == "success"


@holds
def a_service_that_comes_second_makes_way_and_has_not_failed(told: Chapters) -> None:
    second = told["the service comes second"]
    assert (second["code"], second["result"], second["status"], second["told"]) == (0, "success", "0", True)
    assert second["after"] == second["before"]
    assert second["server_lives"]


@holds
def nothing_is_left_after_an_uninstallation(told: Chapters) -> None:
    gone = told["uninstall"]
    assert (gone["code"], gone["left"], gone["status"]) == (0, [], 4)
    assert gone["again"] == "nothing to do\n"


@holds
def a_daemon_that_an_editor_started_does_not_die_with_the_editors_group(told: Chapters) -> None:
    assert told["started by an editor"]["daemon_group"].startswith("app-godotsupervisor-")
    ended = told["the editor's group ends"]
    assert ended["after"] == ended["before"] is not None
    assert ended["server_lives"]


@holds
def a_daemon_that_runs_makes_way_for_the_service(told: Chapters) -> None:
    assert told["handed over"]["gone"]
    assert "its servers keep running" in told["handed over"]["out"]
    assert told["handed over"]["after"] == told["handed over"]["main"]


@holds
def servers_are_stopped_only_when_that_is_asked_for(told: Chapters) -> None:
    last = told["uninstall --stop-servers"]
    assert last["code"] == 0, last["err"]
    assert (last["server_lives"], last["daemon"], last["written"]) == (False, None, False)


@holds
def a_daemon_that_a_stripped_bridge_starts_has_what_the_login_has(told: Chapters) -> None:
    stripped = told["stripped"]
    runtime = {"XDG_RUNTIME_DIR": "/run/user/1000", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/1000/bus"}
    assert stripped["has"] == {**stripped["told"], **runtime}
    assert (stripped["secrets"], stripped["code"]) == ([], 0)


def summary(suite: str, told: Chapters) -> str:
    """Show the daemon's pid in each chapter, and whether its server lived on."""
    rows = [
        f"{chapter}: {row['before']} -> {row['after']}, server {'lives' if row['server_lives'] else 'is gone'}"
        for chapter, row in told.items()
        if {"before", "after", "server_lives"} <= row.keys()
    ]
    return f"systemd of {suite}: " + "; ".join(rows)


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.full
def test_whatever_happens_to_the_daemon_of_a_service_its_servers_go_on(
    suite: str, wheel: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    told = play(suite, wheel, tmp_path / "shared")
    record_property("covered", summary(suite, told))
    wrong = []
    for check in CHECKS:
        try:
            check(told)
        except AssertionError as problem:
            wrong.append(f"{check.__name__}: {problem}")
    assert wrong == []
