"""Plays the life of a server whose daemon is a service, inside a booted systemd. `test_systemd.py` reads it.

usage: systemd_story.py PYTHON TOY

Each chapter does one thing to the daemon, and tells what it finds afterwards as one JSON object on one line.
"""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

PYTHON, TOY = sys.argv[1:]
UNIT = "godot-supervisor.service"
FILE = Path.home() / ".config/systemd/user" / UNIT
DROP_IN = FILE.with_name(f"{UNIT}.d") / "impatient.conf"
CONFIG = Path.home() / ".config/godot-supervisor/config.toml"
KIND = f"""
[daemon]
discover = "off"

[kinds.e2e-toy]
command = ["{PYTHON}", "{TOY}", "{{http}}"]
ports = {{ http = "8400-8409" }}
identify = {{ http = "/", match = {{ name = "e2e-toy" }}, version = "version" }}
ready_timeout_s = 60
"""
PATIENCE_S = 60.0

T = TypeVar("T")
Facts = dict[str, Any]


def run(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, **options)


def cli(*words: str) -> subprocess.CompletedProcess[str]:
    return run(PYTHON, "-P", "-m", "supervisor", *words)


def systemctl(*words: str) -> subprocess.CompletedProcess[str]:
    return run("systemctl", "--user", *words)


def shown(name: str, unit: str = UNIT) -> str:
    return systemctl("show", "--property", name, "--value", unit).stdout.strip()


def eventually(look: Callable[[], T | None], what: str) -> T:
    end = time.monotonic() + PATIENCE_S
    while True:
        answer = look()
        if answer:
            return answer
        if time.monotonic() > end:
            raise TimeoutError(f"waited in vain: {what}\n{status()}\n{journal()}")
        time.sleep(0.02)


def status() -> Facts | None:
    done = cli("status", "--json")
    return json.loads(done.stdout) if done.returncode == 0 else None


def journal() -> str:
    return run("journalctl", "--user", "--no-pager", "--output=cat", f"--unit={UNIT}").stdout


def daemon() -> int | None:
    found = status()
    return int(found["daemon"]["pid"]) if found else None


def lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def group(pid: int) -> str:
    return Path(f"/proc/{pid}/cgroup").read_text().strip().rpartition("/")[2]


def tell(chapter: str, **facts: Any) -> None:
    print(json.dumps({"chapter": chapter, **facts}), flush=True)  # noqa: T201 (the test reads it)


class Story:
    """The story of a server, and of what happens to the daemon above it."""

    def __init__(self) -> None:
        self.server = 0

    def up(self) -> None:
        done = cli("up", "e2e-toy", "--json")
        assert done.returncode == 0, done.stderr
        self.server = json.loads(done.stdout)["process"]["pid"]

    def _adopted(self) -> bool:
        """Whether the daemon that answers knows the server, and it is well."""
        found = status()
        return bool(found) and [
            (row["state"], row["process"]["pid"]) for row in found["servers"] if row["process"] is not None
        ] == [("ready", self.server)]

    @contextlib.contextmanager
    def chapter(self, name: str, *, next_daemon: bool = True) -> Iterator[Facts]:
        """Run a chapter, which may end the daemon, but never the server."""
        before = daemon()
        facts: Facts = {}
        yield facts
        if next_daemon:
            eventually(lambda: (found := daemon()) is not None and found != before, f"{name}: another daemon")
            eventually(self._adopted, f"{name}: the server is known again")
        after = daemon()
        tell(
            name,
            before=before,
            after=after,
            main=int(shown("MainPID") or 0),
            state=shown("ActiveState"),
            server_lives=lives(self.server),
            known=self._adopted(),
            **facts,
        )


def installed(story: Story) -> None:
    dry = cli("service", "install", "--dry-run")
    tell("dry run", code=dry.returncode, out=dry.stdout, written=FILE.exists(), daemon=daemon())
    done = cli("service", "install", "--json")
    tell(
        "install",
        code=done.returncode,
        err=done.stderr,
        steps=json.loads(done.stdout or "{}").get("steps"),
        notes=json.loads(done.stdout or "{}").get("notes"),
        enabled=shown("UnitFileState"),
        state=shown("ActiveState"),
        daemon=daemon(),
        main=int(shown("MainPID")),
        settings={name: shown(name) for name in ("KillMode", "OOMPolicy", "UMask", "Type", "WatchdogUSec")},
    )
    verify = run("systemd-analyze", "--user", "verify", str(FILE))
    tell("verify", code=verify.returncode, out=verify.stdout, err=verify.stderr)
    again = cli("service", "install")
    tell("again", code=again.returncode, out=again.stdout, daemon=daemon())
    shows = cli("service", "status", "--json")
    tell("status", code=shows.returncode, report=json.loads(shows.stdout))
    story.up()
    tell("up", server=story.server, server_group=group(story.server), daemon_group=group(daemon() or 0))


def survived(story: Story) -> None:
    with story.chapter("restart"):
        systemctl("restart", UNIT)
    with story.chapter("SIGKILL"):
        os.kill(int(shown("MainPID")), signal.SIGKILL)
    DROP_IN.parent.mkdir()
    DROP_IN.write_text("[Service]\nWatchdogSec=1\nTimeoutAbortSec=1\n")
    systemctl("daemon-reload")
    with story.chapter("restart, watched closely"):
        systemctl("restart", UNIT)
    with story.chapter("hang") as facts:
        os.kill(int(shown("MainPID")), signal.SIGSTOP)
        facts["result"] = eventually(lambda: shown("Result").replace("success", ""), "systemd sees the hang")
    DROP_IN.unlink()
    systemctl("daemon-reload")
    with story.chapter("restart --daemon") as facts:
        done = cli("restart", "--daemon")
        facts["out"] = done.stdout


def mended(story: Story) -> None:
    good = CONFIG.read_text()
    CONFIG.write_text("[daemon]\nlog_levle = 1\n")
    with story.chapter("bad configuration", next_daemon=False) as facts:
        systemctl("restart", UNIT)
        eventually(lambda: shown("ActiveState") == "failed", "it fails")
        facts |= {"status": shown("ExecMainStatus"), "restarts": shown("NRestarts"), "journal": journal()[-2000:]}
    CONFIG.write_text(good)
    with story.chapter("good configuration") as facts:
        facts["code"] = cli("service", "install").returncode
    right = FILE.read_text()
    FILE.write_text(right.replace(PYTHON.replace("%", "%%"), "/old/python").replace("0.", "0.0.", 1))
    systemctl("daemon-reload")
    shows = cli("service", "status", "--json")
    tell("moved", code=shows.returncode, differences=json.loads(shows.stdout)["differences"])
    with story.chapter("repaired") as facts:
        facts["code"] = cli("service", "install").returncode
    tell("as it was", same=FILE.read_text() == right, code=cli("service", "status").returncode)


def two_ways(story: Story) -> None:
    with story.chapter("stop", next_daemon=False):
        systemctl("stop", UNIT)
    with story.chapter("start by the command") as facts:
        facts["code"] = cli("start").returncode
    second = [cli("start"), cli("service", "run")]
    tell("second", codes=[done.returncode for done in second], out=[done.stdout for done in second])
    systemctl("stop", UNIT)
    with story.chapter("both at once") as facts:
        ways = [("systemctl", "--user", "start", UNIT), *[(PYTHON, "-P", "-m", "supervisor.daemon")] * 2]
        ways += [(PYTHON, "-P", "-m", "supervisor", "start")] * 2
        out = (Path.home() / "at once").open("w")
        started = [subprocess.Popen(way, stdout=out, stderr=out) for way in ways]
        eventually(daemon, "one of them answers")
        winner = daemon()
        facts["codes"] = [process.wait(60) if process.pid != winner else 0 for process in started]
        facts["result"] = shown("Result")
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.wait(60)
    systemctl("stop", UNIT)


def alone(story: Story) -> None:
    """Without a service: started by something that is ended by its control group."""
    unit = FILE.read_text()
    # Whichever daemon won above, the service is gone after this.
    with story.chapter("uninstall", next_daemon=False) as facts:
        cli("service", "install")
        facts["code"] = cli("service", "uninstall").returncode
        facts["left"] = [
            str(path) for path in FILE.parent.rglob("*") if path.name.startswith("godot") and path.is_file()
        ]
        facts["status"] = cli("service", "status").returncode
        facts["again"] = cli("service", "uninstall").stdout
    with story.chapter("started by an editor") as facts:
        editor = Path.home() / "editor"
        editor.write_text(f"{shlex.quote(PYTHON)} -P -m supervisor start; exec sleep 600\n")
        run("systemd-run", "--user", "--unit=editor", "bash", str(editor))
        facts["daemon_group"] = group(eventually(daemon, "it answers"))
    with story.chapter("the editor's group ends", next_daemon=False):
        systemctl("stop", "editor.service")
    pid = daemon() or 0
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(unit)
    systemctl("daemon-reload")
    with story.chapter("the service comes second", next_daemon=False) as facts:
        facts["code"] = systemctl("start", UNIT).returncode
        eventually(lambda: shown("ActiveState") == "inactive", "it makes way")
        facts |= {"result": shown("Result"), "status": shown("ExecMainStatus"), "told": "already running" in journal()}
    with story.chapter("handed over") as facts:
        facts["out"] = cli("service", "install").stdout
        facts["gone"] = not lives(pid)
    done = cli("service", "uninstall", "--stop-servers")
    tell(
        "uninstall --stop-servers",
        code=done.returncode,
        err=done.stderr,
        server_lives=lives(story.server),
        daemon=daemon(),
        written=FILE.exists(),
    )


def stripped() -> None:
    """A bridge that an AI client has started with few variables starts the daemon."""
    told = {"DISPLAY": ":7", "UV_INDEX_URL": "http://index/it's", "XDG_STATE_HOME": f"{Path.home()}/state"}
    words = [f"{name}={value}" for name, value in {**told, "GITHUB_TOKEN": "s", "UV_PUBLISH_TOKEN": "s"}.items()]
    systemctl("set-environment", *words)
    few = {name: os.environ[name] for name in ("HOME", "PATH", "USER")}
    bridge = subprocess.Popen(
        [PYTHON, "-P", "-m", "supervisor", "mcp", "e2e-toy"], env=few, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert bridge.stdin is not None
    bridge.stdin.write(b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}\n')
    bridge.stdin.flush()
    pid = eventually(daemon, "the daemon that the bridge starts answers")
    has = dict(line.split("=", 1) for line in Path(f"/proc/{pid}/environ").read_text().split("\0") if line)
    bridge.stdin.close()
    tell(
        "stripped",
        told=told,
        has={name: has.get(name) for name in (*told, "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")},
        secrets=sorted(name for name in has if "TOKEN" in name),
        code=bridge.wait(30),
    )
    systemctl("unset-environment", *told, "GITHUB_TOKEN", "UV_PUBLISH_TOKEN")
    cli("stop")


def measured() -> None:
    """How long `start` takes, with and without a bus, in ms; the best of five."""

    def best(environment: dict[str, str]) -> float:
        times = []
        for _ in range(5):
            begun = time.perf_counter()
            run(PYTHON, "-P", "-m", "supervisor", "start", env=environment)
            times.append(time.perf_counter() - begun)
            cli("stop")
        return round(min(times) * 1000, 1)

    nowhere = {**os.environ, "XDG_RUNTIME_DIR": "/nowhere"}
    tell("measured", with_bus=best(dict(os.environ)), without_bus=best(nowhere))


def main() -> None:
    CONFIG.parent.mkdir(parents=True)
    CONFIG.write_text(KIND)
    story = Story()
    tell("systemd", version=run("systemctl", "--version").stdout.split()[1])
    for part in (installed, survived, mended, two_ways, alone):
        part(story)
    stripped()
    if "MEASURE" in os.environ:
        measured()


if __name__ == "__main__":
    main()
