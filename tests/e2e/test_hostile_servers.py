"""Servers that answer without end, or not as servers do, or talk to the terminal: bounded, and judged as documented."""

import os
import pty
import re
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from supervisor.client.client import RemoteError
from tests.e2e.conftest import MakeHome
from tests.e2e.home import SERVERS, Home, eventually, free_ports, is_free
from tests.e2e.raw_connections import AttackedHome, answer_time

QUICK_S = 5.0
"""On a machine with other work; on an idle one it is hundredths of a second."""

READY_S = 3
MIB = 1024 * 1024
PROMISED_KIB = 64 * 1024
CAP_BYTES = 50 * MIB

WRONG = ("megabytes", "drip", "headers", "chunks", "crumbs", "elsewhere", "mute", "other", "deep", "digits")
OURS = re.compile(r"\x1b\[(?:0|31|32|33)m")

KIND = """
[kinds.{name}]
command = ["{python}", "{server}", "{{http}}", "{manner}", "{other}"]
ports = {{ http = "{low}-{high}" }}
identify = {{ http = "/", match = {{ name = "rogue" }}, version = "version" }}
sessions = {{ http = "/sessions", count = "open" }}
topology = "{topology}"
ready_timeout_s = {ready}
"""


def kind(name: str, manner: str, ports: range, other: int = 1, topology: str = "shared", ready: float = READY_S) -> str:
    return KIND.format(
        name=name,
        python=sys.executable,
        server=SERVERS / "rogue.py",
        manner=manner,
        other=other,
        low=ports[0],
        high=ports[-1],
        topology=topology,
        ready=ready,
    )


class Watchman:
    """Asks for `status` all the while, and keeps the longest wait."""

    def __init__(self, home: Home) -> None:
        self.worst = 0.0
        self._home = home
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            self.worst = max(self.worst, answer_time(self._home))

    def close(self) -> None:
        self._done.set()
        self._thread.join()


@pytest.fixture
def attacked(tmp_path: Path) -> Iterator[tuple[AttackedHome, socket.socket]]:
    """Yield a home with a kind for each manner, and a bystander that one of them redirects to."""
    with socket.create_server(("127.0.0.1", 0)) as bystander:
        ports, other = free_ports(2 * len(WRONG)), bystander.getsockname()[1]
        kinds = [kind(name, name, ports[2 * n : 2 * n + 2], other) for n, name in enumerate(WRONG)]
        attacked = AttackedHome(tmp_path, '[daemon]\ndiscover = "off"\n' + "".join(kinds))
        yield attacked, bystander
        attacked.close()


def test_hostile_answers_fail_the_start_and_hold_up_no_client(
    attacked: tuple[AttackedHome, socket.socket],
) -> None:
    """All of them at once: none is taken for ready, none sends us elsewhere, and the daemon answers all the time."""
    home, bystander = attacked
    home.start()
    refused: dict[str, str] = {}

    def ensure(name: str) -> None:
        try:
            with home.client() as client:
                client.call("server.ensure", {"kind": name}, timeout_s=60)
        except RemoteError as error:
            refused[name] = error.code

    threads = [threading.Thread(target=ensure, args=(name,)) for name in WRONG]
    watchman = Watchman(home)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    watchman.close()
    assert refused == dict.fromkeys(WRONG, "START_FAILED")
    assert watchman.worst < QUICK_S
    assert home.peak_kib() < PROMISED_KIB
    assert select.select([bystander], [], [], 0)[0] == [], "a redirect was followed"
    assert home.server_processes() == []
    assert [row for row in home.events() if row["level"] == "error"] == []


@pytest.mark.parametrize("manner", ["megabytes", "other", "escapes", "long", "good"])
def test_a_foreign_server_is_adopted_only_for_a_good_answer(make_home: MakeHome, manner: str) -> None:
    """Its words are quoted to people, and no more of them than people can read."""
    ports = free_ports(2)
    home = make_home('[daemon]\ndiscover = "watch"\n' + kind("rogue", manner, ports))
    foreign_server = home.run(
        sys.executable, str(SERVERS / "rogue.py"), str(ports[0]), manner, stdout=subprocess.DEVNULL
    )
    eventually(lambda: not is_free(ports[0]), "it listens")
    home.start()
    explained = home.call("ports.explain", {"kind": "rogue"})["ports"][0]
    assert explained["occupant"]["pid"] == foreign_server.pid
    assert len(explained["reason"]) < 1000
    if manner == "megabytes":
        assert "longer than" in explained["reason"]
    done = home.cli("adopt", str(foreign_server.pid))
    shown = done.stdout + done.stderr + home.cli("ports", "rogue").stdout + home.cli("status").stdout
    assert "\x1b" not in shown
    if manner in ("escapes", "long", "good"):
        # The server has the right name; an impossible version counts as none.
        assert done.returncode == 0, done.stderr
        assert home.server_in("rogue", "ready", origin="adopted", version="1.0" if manner == "good" else None)
    else:
        assert done.returncode == 5, done.stderr
    assert home.call("server.list")["servers"] == [] or home.cli("down", "rogue").returncode == 0
    assert home.events("discovery.failed") == []


def test_server_with_an_impossible_version_is_found(make_home: MakeHome) -> None:
    """A private environment is looked up by the foreign server's own words."""
    ports = free_ports(2)
    config = kind("rogue", "wild", ports)
    words = f'command = ["{sys.executable}", "{SERVERS / "rogue.py"}"'
    packaged = config.replace(words, 'package = "rogue"\nversion = "1.0"\ncommand = ["{python}", "-m", "rogue"')
    assert packaged != config
    home = make_home(f'[daemon]\ndiscover = "watch"\n{packaged}')
    home.run(sys.executable, str(SERVERS / "rogue.py"), str(ports[0]), "wild", stdout=subprocess.DEVNULL)
    eventually(lambda: not is_free(ports[0]), "it listens")
    home.start()
    assert home.event("server.discovered")["version"] == "../../../tmp/x y"
    assert home.events("discovery.failed") == []


def test_endless_session_lists_are_unknown_and_keep_the_server(make_home: MakeHome) -> None:
    home = make_home('[daemon]\ndiscover = "off"\n' + kind("rogue", "crowd", free_ports(2), ready=30))
    owner = home.owner()
    home.up("rogue", "--owner-pid", str(owner.pid))
    owner.kill()
    owner.wait()
    home.call("reap", {"dry_run": True})
    server = home.server("rogue")
    assert server is not None
    assert (server["state"], server["sessions"], server["reap"]["verdict"]) == ("ready", None, "keep")


def test_loud_server_fills_no_disk_and_blocks_no_client(make_home: MakeHome) -> None:
    home = make_home('[daemon]\ndiscover = "off"\n' + kind("rogue", "loud", free_ports(2), ready=30))
    server = home.up("rogue")
    watchman = Watchman(home)
    cuts = eventually(lambda: rows if len(rows := home.events("log.cut")) >= 4 else None, "it is cut")
    watchman.close()
    assert watchman.worst < QUICK_S
    # The first cut may be late, because the daemon did not know yet how loud the server is.
    told = [(later["was_bytes"], later["mono"] - sooner["mono"]) for sooner, later in pairwise(cuts)]
    rate = max(was / seconds for was, seconds in told)
    assert min(was for was, _ in told) < CAP_BYTES + rate, told
    page = home.cli("logs", "rogue", "-n", "3")
    assert page.returncode == 0, page.stderr
    assert home.cli("down", "rogue").returncode == 0
    Path(server["log"]).unlink()


# --- what reaches the terminal ----------------------------------------------------------------------------------------


def on_a_terminal(home: Home, *words: str) -> str:
    """Return what a command sends to the terminal that it runs on."""
    controller, terminal = pty.openpty()
    environment = {name: value for name, value in home.environment.items() if name != "NO_COLOR"}
    argv = [sys.executable, "-P", "-m", "supervisor", *words]
    with subprocess.Popen(argv, env=environment, stdin=terminal, stdout=terminal, stderr=terminal) as process:
        os.close(terminal)
        shown = b""
        while True:
            try:
                piece = os.read(controller, 65536)
            except OSError:
                # Linux says so when the last one on the other side has gone.
                break
            if not piece:
                break
            shown += piece
        process.wait(60)
    os.close(controller)
    return shown.decode()


NAME = "game\x1b]0;owned\x07\x1b[2J\u202egnp"


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A server, a project and an editor that all have escape sequences in what they are called, or say."""
    home = Home(tmp_path_factory.mktemp("painted"), "")
    config = '[daemon]\ndiscover = "off"\n' + kind("rogue", "good", free_ports(2), topology="per-editor", ready=30)
    home.folders.config.write_text(config)
    home.start()
    editor = home.run("sleep", "600")
    attached = {"pid": editor.pid, "project": home.project(NAME), "name": NAME, "engine_version": "4.\x1b[2J"}
    home.call("editor.attach", attached)
    (known,) = home.call("status")["editors"]
    home.call("editor.state", {"editor": known["id"], "state": "busy", "reason": "\x1b[2Jimporting"})
    (server,) = [home.call("server.ensure", {"kind": "rogue", "editor": known["id"]})]
    home.call("lease.acquire", {"server": server["id"], "holder": NAME, "ttl_s": 600})
    yield home
    home.close()


COMMANDS: dict[str, tuple[str, ...]] = {
    "logs": ("logs", "SERVER"),
    "the daemon's log": ("logs",),
    "status": ("status",),
    "ps": ("ps", "--timeout", "20"),
    "inspect": ("inspect", "SERVER"),
    "events": ("events",),
    "a refusal": ("restart", "SERVER"),
    "ports": ("ports", "rogue"),
    "what is not there": ("inspect", NAME),
    "reap": ("reap", "--dry-run"),
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_nothing_that_a_terminal_would_obey_reaches_it(painted: Home, words: tuple[str, ...]) -> None:
    (server,) = painted.call("server.list")["servers"]
    shown = on_a_terminal(painted, *(server["id"] if word == "SERVER" else word for word in words))
    assert shown
    rest = OURS.sub("", shown)
    assert [letter for letter in rest if letter in "\x1b\x07\x08\x7f\x9b\u202e\u202c"] == [], rest
    if words == ("logs", "SERVER"):
        assert "red" in rest
        assert "tab\there" in rest


def test_colours_of_our_own_are_still_there(painted: Home) -> None:
    assert OURS.search(on_a_terminal(painted, "status"))


def test_the_objects_of_the_protocol_keep_every_letter(painted: Home) -> None:
    """For programs, not for terminals: and JSON escapes them."""
    done = painted.cli("status", "--json")
    assert "\x1b" not in done.stdout
    assert "\\u001b]0;owned" in done.stdout


def test_a_daemon_in_the_foreground_shows_no_escape_sequence_either(make_home: MakeHome) -> None:
    home = make_home('[daemon]\ndiscover = "off"\n')
    process = home.begin("start", "--foreground")
    eventually(home.folders.endpoint.exists, "it is ready")
    home.call("editor.attach", {"pid": home.owner().pid, "project": home.project(NAME)})
    assert home.cli("stop").returncode == 0
    _, err = process.communicate(timeout=60)
    assert "editor.attached" in err
    assert "\x1b" not in err
