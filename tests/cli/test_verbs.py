"""Each verb against a daemon that answers from a script."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from supervisor.cli.server_commands import ports
from supervisor.daemon.lock import HomeLock
from supervisor.errors import Busy, KindUnknown, NotFound, NotOurs, PortsExhausted, SupervisorError
from supervisor.kinds.catalog import Catalog
from tests.cli.conftest import Run
from tests.cli.objects import editor, owner, server, status
from tests.cli.scripted import Script, Streaming
from tests.protocol import check_document
from tests.systems import POSIX_ONLY
from tests.wine import IS_WINDOWS

BUILT_IN = Catalog.build({}).names()
WITHOUT_A_DAEMON = (
    "status", "ps", "status --watch", "inspect", "down", "down x", "restart", "restart x --force", "wait --for ready",
    "url", "connect", "reap", "ports", "logs x", "logs -f", "events", "events -f", "config reload", "environments list",
    "environments prune",
)  # fmt: skip


@pytest.mark.parametrize("verb", WITHOUT_A_DAEMON)
def test_without_a_daemon_the_exit_code_is_3_and_the_hint_names_start(run: Run, home: Path, verb: str) -> None:
    outcome = run(*verb.split())
    assert outcome.code == 3
    assert outcome.out == ""
    which = f" (home: {home})" if verb in ("status", "ps") else ""
    assert outcome.err == f"error: no daemon is running{which}\nhint: godot-supervisor start\n"


def test_without_a_daemon_json_gets_the_error_object(run: Run) -> None:
    outcome = run("status", "--json")
    assert (outcome.code, outcome.out) == (3, "")
    assert outcome.error["code"] == "DAEMON_NOT_RUNNING"


def test_status_shows_the_table(run: Run, daemon: Script) -> None:
    daemon.answers["status"] = status(editors=[editor()], servers=[server(owners=[owner()])])
    outcome = run("status")
    assert (outcome.code, outcome.err) == (0, "")
    assert "game-1" in outcome.out
    assert run("ps").out == outcome.out


def test_status_as_json_is_the_answer_itself(run: Run, daemon: Script) -> None:
    daemon.answers["status"] = status()
    assert run("status", "--json").document == status()


def test_start_beside_a_running_daemon_says_who_runs(run: Run, daemon: Script) -> None:
    daemon.answers["status"] = status()
    outcome = run("start")
    assert (outcome.code, outcome.out) == (0, "already running: pid 4211, version 0.1.0\n")
    assert run("start", "--foreground").out == outcome.out
    assert run("start", "--json").document == status()["daemon"]


def test_stop_waits_until_the_daemon_has_withdrawn_its_endpoint(run: Run, daemon: Script) -> None:
    published = daemon.home / "endpoint.json"

    def shutdown(_: dict[str, Any]) -> Streaming:
        published.unlink()
        return Streaming({}, hangs_up=True)

    daemon.answers["daemon.shutdown"] = shutdown
    outcome = run("stop")
    assert (outcome.code, outcome.out) == (0, "stopped\n")
    assert daemon.params("daemon.shutdown") == {"servers": False}


def test_stop_gives_up_on_a_daemon_that_does_not_leave(run: Run, daemon: Script) -> None:
    daemon.answers |= {"events.subscribe": Streaming({}), "daemon.shutdown": {}}
    outcome = run("stop", "--servers", "--timeout", "1", "--json")
    assert (outcome.code, outcome.error["code"]) == (6, "TIMEOUT")
    assert daemon.params("daemon.shutdown") == {"servers": True}


def what_becomes(daemon: Script, left: list[dict[str, str]], **events: str) -> None:
    """A daemon that stops servers as it goes: the event that comes of each, and those that it leaves."""
    details = {"reason": "still alive after a kill: pid 7"}
    told = [("event", {"event": name, "server": server, "details": details}) for server, name in events.items()]
    answer = {"stops": [*events], "left": left}
    daemon.answers |= {
        "events.subscribe": Streaming({}, told),
        "daemon.shutdown": gone(daemon, answer),
    }


FOUND = {"server": "b", "reason": "it was only found: others started it"}


def test_stop_with_servers_tells_of_each_and_why_it_left_some(run: Run, daemon: Script) -> None:
    what_becomes(daemon, [FOUND], a="server.gone", c="server.not_stopped")
    outcome = run("stop", "--servers")
    assert (outcome.code, outcome.out) == (1, "stopped\n")
    assert outcome.err.splitlines() == [
        "b: left, it was only found: others started it",
        "a: stopped",
        "c: not stopped",
        "error: c: still alive after a kill: pid 7",
    ]
    assert daemon.params("daemon.shutdown") == {"servers": True}


def test_stop_with_servers_as_json_is_one_document(run: Run, daemon: Script) -> None:
    what_becomes(daemon, [FOUND], a="server.gone")
    outcome = run("stop", "--servers", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.document == {"stopped": ["a"], "left": [FOUND], "bridges": []}


def test_without_servers_to_stop_nothing_is_waited_for(run: Run, daemon: Script) -> None:
    what_becomes(daemon, [])
    outcome = run("stop", "--servers")
    assert (outcome.code, outcome.out, outcome.err) == (0, "stopped\n", "")


def gone(daemon: Script, answer: dict[str, Any]) -> Callable[[object], Streaming]:
    def shutdown(_: object) -> Streaming:
        (daemon.home / "endpoint.json").unlink()
        return Streaming(answer, hangs_up=True)

    return shutdown


def test_stop_notices_that_the_daemon_died_while_it_was_stopping(run: Run, daemon: Script) -> None:
    daemon.answers["daemon.shutdown"] = Streaming({}, hangs_up=True)
    began = time.monotonic()
    outcome = run("stop")
    assert (outcome.code, outcome.out) == (0, "stopped\n")
    assert outcome.err.startswith("the daemon died before it had stopped in order")
    assert time.monotonic() - began < 5
    assert not (daemon.home / "endpoint.json").exists()


def test_a_daemon_that_withdraws_between_two_looks_has_not_died(
    run: Run, daemon: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.answers["daemon.shutdown"] = Streaming({}, hangs_up=True)

    def holder_after_its_end(_: object) -> None:
        # It withdraws, and lets go of the lock, after the command has seen its endpoint.
        (daemon.home / "endpoint.json").unlink(missing_ok=True)

    monkeypatch.setattr("supervisor.cli.daemon_commands.daemon._holder", holder_after_its_end)
    outcome = run("stop")
    assert (outcome.code, outcome.out, outcome.err) == (0, "stopped\n", "")


def test_stop_without_a_daemon_speaks_of_servers_that_may_run(run: Run, home: Path) -> None:
    assert run("stop").err == ""
    (home / "registry.json").write_text("{}")
    assert "may still run" in run("stop").err
    assert "godot-supervisor start" in run("stop", "--servers", "--json").error["hint"]


@pytest.mark.parametrize("content", ["{", None], ids=["damaged", "gone"])
@pytest.mark.parametrize("verb", ["status", "stop", "stop --servers", "restart --daemon", "start", "up x"])
def test_a_daemon_that_cannot_be_reached_is_not_said_to_be_none(
    run: Run, home: Path, verb: str, content: str | None
) -> None:
    if content is not None:
        (home / "endpoint.json").write_text(content)
        (home / "endpoint.json").chmod(0o600)
    instance = HomeLock(home / "daemon.lock")
    assert instance.take()
    instance.sign()
    os.utime(home / "daemon.pid", (1, 1))
    try:
        outcome = run(*verb.split(), "--json")
    finally:
        instance.release()
    assert (outcome.code, outcome.out, outcome.error["code"]) == (1, "", "DAEMON_UNREACHABLE")
    assert outcome.error["pid"] == os.getpid()
    assert "start" not in outcome.error["hint"] or IS_WINDOWS
    assert ("damaged" if content else "gone") in json.loads(outcome.err)["message"]
    assert run("stop").out == "no daemon is running\n"


def test_a_daemon_that_cannot_run_in_the_foreground_says_why(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("supervisor.daemon.app.run", fail)
    outcome = run("start", "--foreground", "--json")
    assert (outcome.code, outcome.error["code"]) == (1, "STATE_NOT_WRITABLE")


def test_stop_without_a_daemon_has_nothing_to_do(run: Run) -> None:
    assert (run("stop").code, run("stop").out) == (0, "no daemon is running\n")


def test_stop_with_servers_cannot_promise_anything_without_a_daemon(run: Run) -> None:
    assert run("stop", "--servers").code == 3


def test_stop_with_an_id_is_a_usage_error_that_names_down(run: Run, daemon: Script) -> None:
    outcome = run("stop", "godot-ai")
    assert outcome.code == 2
    assert "godot-supervisor down godot-ai" in outcome.err
    assert daemon.calls == []


def test_down_stops_the_server_that_was_named(run: Run, daemon: Script) -> None:
    daemon.answers["server.stop"] = server(state="stopped")
    outcome = run("down", "godot-ai")
    assert (outcome.code, outcome.out) == (0, "godot-ai: stopped\n")
    assert daemon.params("server.stop") == {"server": "godot-ai"}


def test_down_needs_no_id_with_exactly_one_server(run: Run, daemon: Script) -> None:
    others = [server(id="old", state="stopped"), server(id="lost", state="failed"), server(id="x", origin="external")]
    daemon.answers["server.list"] = {"servers": [*others, server(id="mine")]}
    daemon.answers["server.stop"] = server(id="mine", state="stopped")
    assert run("down", "--json").document == server(id="mine", state="stopped")
    assert daemon.params("server.stop") == {"server": "mine"}


def test_down_means_the_only_server_even_if_it_has_failed(run: Run, daemon: Script) -> None:
    daemon.answers["server.list"] = {"servers": [server(id="lost", state="failed"), server(id="x", origin="external")]}
    daemon.answers["server.stop"] = server(id="lost", state="stopped")
    assert run("down").out == "lost: stopped\n"
    daemon.answers["server.list"] = {"servers": [server(id="a", state="failed"), server(id="b", state="failed")]}
    outcome = run("down")
    assert outcome.code == 2
    assert "several servers are known: a, b" in outcome.err


@pytest.mark.parametrize("verb", ["down", "restart"])
def test_a_server_that_was_only_found_has_to_be_named(run: Run, daemon: Script, verb: str) -> None:
    found = [server(id="b", origin="discovered"), server(id="a", origin="external")]
    daemon.answers["server.list"] = {"servers": found}
    outcome = run(verb)
    assert outcome.code == 2
    assert "started by others" in outcome.err
    assert "a, b" in outcome.err
    daemon.answers["server.list"] = {"servers": [*found, server(id="mine", origin="adopted")]}
    daemon.answers |= {"server.stop": server(state="stopped"), "server.restart": server()}
    assert run(verb).code == 0
    (asked,) = [params["server"] for method, params in daemon.calls if method in ("server.stop", "server.restart")]
    assert asked == "mine"


def test_down_without_an_id_and_without_a_server_finds_nothing(run: Run, daemon: Script) -> None:
    daemon.answers["server.list"] = {"servers": []}
    outcome = run("down")
    assert outcome.code == 4
    assert "no server is running" in outcome.err


def test_down_without_an_id_lists_several_servers_and_stops_none(run: Run, daemon: Script) -> None:
    daemon.answers["server.list"] = {"servers": [server(id="b"), server(id="a")]}
    outcome = run("down")
    assert outcome.code == 2
    assert "several servers are running: a, b" in outcome.err
    assert "server.stop" not in dict(daemon.calls)


@pytest.mark.parametrize(
    ("problem", "code"),
    [(NotFound("no server x"), 4), (NotOurs("not proven"), 5), (Busy("restarting"), 8), (PortsExhausted("full"), 1)],
)
def test_an_error_of_the_daemon_becomes_its_exit_code(
    run: Run, daemon: Script, problem: SupervisorError, code: int
) -> None:
    daemon.answers["server.stop"] = problem
    plain = run("down", "x")
    assert (plain.code, plain.out) == (code, "")
    assert plain.err.startswith(f"error: {problem.message}\n")
    as_json = run("down", "x", "--json")
    assert (as_json.code, as_json.error["code"]) == (code, problem.code)


def occupied() -> Busy:
    running = {"method": "editor.state", "request": None, "holder": "game-1", "elapsed_ms": 100}
    return Busy("game-1 is busy: importing", hint="try again later", data={"running": running, "reason": "importing"})


@pytest.mark.parametrize(("verb", "method"), [("down", "server.stop"), ("restart", "server.restart")])
class TestABusyEditor:
    def test_is_named_with_its_reason_and_the_way_past_it(
        self, run: Run, daemon: Script, verb: str, method: str
    ) -> None:
        daemon.answers[method] = occupied()
        outcome = run(verb, "godot-ai")
        assert (outcome.code, outcome.out) == (8, "")
        assert outcome.err == (
            f"error: game-1 is busy: importing\nhint: wait, or: godot-supervisor {verb} godot-ai --force\n"
        )

    def test_does_not_stop_whoever_forces_it(self, run: Run, daemon: Script, verb: str, method: str) -> None:
        daemon.answers[method] = server(state="stopped")
        assert run(verb, "godot-ai", "--force").code == 0
        assert daemon.params(method) == {"server": "godot-ai", "force": True}

    def test_is_another_matter_than_a_busy_server(self, run: Run, daemon: Script, verb: str, method: str) -> None:
        running = {"method": "server.ensure", "request": "r-1", "holder": "game-1", "elapsed_ms": 100}
        daemon.answers[method] = Busy("server.ensure is running", hint="try again later", data={"running": running})
        outcome = run(verb, "godot-ai", "--json")
        assert (outcome.code, outcome.error["hint"]) == (8, "try again later")


def test_restart_says_where_the_server_is_now(run: Run, daemon: Script) -> None:
    daemon.answers["server.list"] = {"servers": [server()]}
    daemon.answers["server.restart"] = server()
    daemon.progress = [{"stage": "stopping", "message": "godot-ai, pid 4300"}]
    outcome = run("restart")
    assert (outcome.code, outcome.out) == (0, "godot-ai: ready at http://127.0.0.1:8000/mcp\n")
    assert outcome.err == "stopping: godot-ai, pid 4300\n"
    assert daemon.params("server.restart") == {"server": "godot-ai"}
    assert run("restart", "godot-ai", "--json").document == server()
    daemon.answers["server.restart"] = server(url=None)
    assert run("restart", "godot-ai").out == "godot-ai: ready\n"


@pytest.mark.parametrize("words", [["restart", "godot-ai", "--daemon"], ["restart", "--daemon", "--force"]])
def test_restart_of_the_daemon_stands_alone(run: Run, daemon: Script, words: list[str]) -> None:
    assert run(*words).code == 2
    assert daemon.calls == []


def test_reap_shows_verdicts_with_reasons(run: Run, daemon: Script) -> None:
    judged = {"server": "godot-ai", "verdict": "suspect", "reasons": ["no owner", "no session"], "due_in_s": 4.25}
    daemon.answers["reap"] = {"servers": [judged]}
    outcome = run("reap", "--dry-run")
    assert outcome.out.splitlines() == [
        "SERVER    VERDICT  DUE       REASONS",
        "godot-ai  suspect  in 4.2 s  no owner; no session",
    ]
    assert daemon.params("reap") == {"dry_run": True}
    assert run("reap", "--json").document == {"servers": [judged]}
    assert daemon.calls[-1] == ("reap", {"dry_run": False})


def test_reap_in_an_empty_house_says_so(run: Run, daemon: Script) -> None:
    daemon.answers["reap"] = {"servers": []}
    assert run("reap").out == "no servers\n"


PORTS = [
    {
        "port": 8000,
        "occupant": {"pid": 5, "command": ["nc"], "user": "me"},
        "decision": "relocate",
        "reason": "foreign",
    },
    {"port": 9500, "occupant": None, "decision": "spawn", "reason": "free"},
]


def test_ports_shows_who_holds_what(run: Run, daemon: Script) -> None:
    daemon.answers["ports.explain"] = {"ports": PORTS}
    assert run("ports", "godot-ai").out.splitlines() == [
        "PORT  OCCUPANT          DECISION  REASON",
        "8000  pid 5 (nc) of me  relocate  foreign",
        "9500  -                 spawn     free",
    ]
    assert daemon.params("ports.explain") == {"kind": "godot-ai"}


def test_a_reason_that_does_not_fit_gets_lines_of_its_own() -> None:
    reason = "it is held by a server whose version is another one, and which an editor uses"
    runs = [("8000", "pid 733 (python3 -m http.server 8000) of me", "relocate", reason), ("8001-8019", "-", "use", "")]
    narrow = [*ports.lines(runs, (80, 24))]
    assert narrow[0].split() == ["PORT", "OCCUPANT", "DECISION"]
    assert " ".join(" ".join(narrow[2:-1]).split()) == reason
    assert max(map(len, narrow)) <= 80
    assert [*ports.lines(runs, None)] == [*ports.lines(runs, (400, 24))]
    assert reason in [*ports.lines(runs, None)][1]


def test_neighbouring_ports_of_which_the_same_is_true_share_a_row(run: Run, daemon: Script) -> None:
    free = {"occupant": None, "decision": "use", "reason": "it is free"}
    daemon.answers["ports.explain"] = {"ports": [{"port": port, **free} for port in (8000, 8001, 8002, 9500)]}
    assert [line.split()[0] for line in run("ports", "godot-ai").out.splitlines()] == ["PORT", "8000-8002", "9500"]


def test_ports_tells_the_version_for_a_project(run: Run, daemon: Script) -> None:
    (daemon.home / "project.godot").touch()
    why = {"version": "4.3.1", "version_why": "addons/x.cfg has it", "notes": ["its plugin looks on http 8000 only"]}
    daemon.answers["ports.explain"] = {"ports": PORTS, **why}
    shown = run("ports", "godot-ai", "--project", str(daemon.home)).out.splitlines()
    assert (shown[0], shown[-1]) == (
        "godot-ai 4.3.1: addons/x.cfg has it",
        "godot-ai: its plugin looks on http 8000 only",
    )
    assert daemon.params("ports.explain") == {"kind": "godot-ai", "project": str(daemon.home.resolve())}
    document = run("ports", "godot-ai", "--json").document
    assert document == {"ports": PORTS, "versions": [{"kind": "godot-ai", **why}]}
    check_document("ports", {**document, "ports": []})


def test_ports_without_a_kind_asks_for_every_kind(run: Run, daemon: Script) -> None:
    text = '[kinds.mine]\ncommand = ["x", "{http}"]\nports = { http = "7000-7001" }\n'
    (daemon.home / "config.toml").write_text(text)
    daemon.answers["ports.explain"] = {"ports": PORTS}
    assert run("ports", "--json").document == {"ports": PORTS}
    asked = [params["kind"] for method, params in daemon.calls if method == "ports.explain"]
    assert asked == sorted(["mine", *BUILT_IN])


def test_kinds_works_without_a_daemon_and_knows_the_users_own(run: Run, home: Path) -> None:
    (home / "config.toml").write_text('[kinds.mine]\ncommand = ["x"]\nenv = { KEY = "hidden" }\n')
    outcome = run("kinds")
    assert [line.split()[0] for line in outcome.out.splitlines()] == ["KIND", *sorted(["mine", *BUILT_IN])]
    as_json = run("kinds", "--json")
    assert [kind["name"] for kind in as_json.document["kinds"]] == sorted(["mine", *BUILT_IN])
    assert "hidden" not in outcome.out + as_json.out


def test_a_configuration_that_cannot_be_used_is_an_error_that_names_the_file(run: Run, home: Path) -> None:
    (home / "config.toml").write_text("daemon = 3\n")
    outcome = run("kinds")
    assert outcome.code == 1
    assert "config.toml" in outcome.err


class TestUp:
    @pytest.fixture(autouse=True)
    def answers(self, daemon: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        daemon.answers["server.ensure"] = server(owners=[owner(pid=123)], since=time.time() + 1)
        daemon.answers["status"] = status(editors=[editor()])

    def test_the_server_is_reported(self, run: Run, daemon: Script) -> None:
        outcome = run("up", "godot-ai")
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out.startswith("godot-ai 4.3.1 ready\n")
        assert "when pid 123 (game-1) ends, the server is stopped 5 s later; it is kept while" in outcome.out
        assert outcome.out.splitlines()[-1].strip().startswith("claude mcp add")
        assert daemon.params("server.ensure") == {"kind": "godot-ai"}

    def test_json_is_the_server_and_nothing_else(self, run: Run, daemon: Script) -> None:
        daemon.progress = [{"stage": "installing", "message": "x"}]
        outcome = run("up", "godot-ai", "--json")
        assert (outcome.document, outcome.err) == (daemon.answers["server.ensure"], "")

    def test_progress_goes_to_stderr(self, run: Run, daemon: Script) -> None:
        daemon.progress = [{"stage": "installing", "message": "godot-ai 4.3.1", "done": 3, "total": 41}]
        assert run("up", "godot-ai").err == "installing 3 of 41: godot-ai 4.3.1\n"

    def test_a_ready_server_is_already_running(self, run: Run, daemon: Script) -> None:
        daemon.answers["server.ensure"] = server(since=1000.0)
        assert run("up", "godot-ai").out.startswith("godot-ai 4.3.1 already running\n")
        assert [method for method, _ in daemon.calls] == ["hello", "server.ensure"]

    def test_a_server_of_others_that_was_adopted_was_not_running_already(self, run: Run, daemon: Script) -> None:
        daemon.answers["server.ensure"] = server(since=1000.0)
        daemon.progress = [{"stage": "adopting", "message": "pid 733"}]
        assert run("up", "godot-ai").out.startswith("godot-ai 4.3.1 ready\n")

    def test_a_kind_that_only_the_file_has_is_to_be_reloaded(self, run: Run, daemon: Script) -> None:
        daemon.answers["server.ensure"] = KindUnknown("no kind 'fresh'", hint="known: godot-ai")
        assert run("up", "fresh", "--json").error["hint"] == "known: godot-ai"
        (daemon.home / "config.toml").write_text('[kinds.fresh]\ncommand = ["x"]\n')
        outcome = run("up", "fresh", "--json")
        assert outcome.code == 4
        assert outcome.error["hint"].endswith("godot-supervisor config reload")

    def test_an_owner_is_passed_with_the_project(self, run: Run, daemon: Script, tmp_path: Path) -> None:
        (tmp_path / "game").mkdir()
        run("up", "godot-ai", "--owner-pid", "77", "--project", "../game", "--version", "4.3.1")
        assert daemon.params("server.ensure") == {
            "kind": "godot-ai",
            "owner": {"pid": 77, "project": str((tmp_path / "game").resolve())},
            "version": "4.3.1",
        }

    def test_parent_is_whoever_started_the_command(self, run: Run, daemon: Script) -> None:
        run("up", "godot-ai", "--owner-pid", "parent")
        # os.getppid() ends the process under Wine.
        assert daemon.params("server.ensure")["owner"] == {"pid": psutil.Process().ppid()}

    def test_a_project_without_an_owner_is_passed_on_its_own(self, run: Run, daemon: Script, tmp_path: Path) -> None:
        run("up", "godot-ai", "--project", str(tmp_path))
        assert daemon.params("server.ensure") == {"kind": "godot-ai", "project": str(tmp_path.resolve())}

    def test_the_current_folder_is_the_project_if_it_is_one(self, run: Run, daemon: Script) -> None:
        Path("project.godot").touch()
        run("up", "godot-ai")
        assert daemon.params("server.ensure") == {"kind": "godot-ai", "project": str(Path.cwd())}

    @pytest.mark.parametrize("pid", ["0", "-1", "me", "1.5"])
    def test_an_owner_that_is_no_pid_is_a_usage_error(self, run: Run, daemon: Script, pid: str) -> None:
        outcome = run("up", "godot-ai", f"--owner-pid={pid}")
        assert outcome.code == 2
        assert "neither a process id nor 'parent'" in outcome.err
        assert daemon.calls == []

    def test_a_project_that_does_not_exist_is_a_usage_error(self, run: Run, daemon: Script) -> None:
        assert run("up", "godot-ai", "--project", "nowhere").code == 2
        assert daemon.calls == []


def test_ports_of_a_kind_that_the_daemon_does_not_know_yet_are_passed_over(run: Run, daemon: Script) -> None:
    (daemon.home / "config.toml").write_text('[kinds.fresh]\ncommand = ["x"]\n')
    row = {"port": 8000, "occupant": None, "decision": "use", "reason": "it is free"}
    daemon.answers["ports.explain"] = lambda params: (
        KindUnknown("no kind") if params["kind"] == "fresh" else {"ports": [row]}
    )
    outcome = run("ports")
    assert outcome.code == 0
    assert outcome.out.splitlines()[1].startswith("8000")
    assert outcome.err.startswith("fresh: the daemon has not read config.toml")
    assert run("ports", "fresh").code == 4


def test_kinds_shows_a_single_port_as_one(run: Run, home: Path) -> None:
    (home / "config.toml").write_text('[kinds.one]\ncommand = ["x"]\nports = { http = "18700" }\n')
    (line,) = [line for line in run("kinds").out.splitlines() if line.startswith("one ")]
    assert line.endswith("  http 18700")


@POSIX_ONLY
def test_a_project_path_that_is_not_utf8_is_named(run: Run, daemon: Script, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"g\xe4me")
    folder.mkdir()
    outcome = run("up", "godot-ai", "--project", str(folder))
    assert outcome.code == 2
    assert "is not UTF-8" in outcome.err
    assert "g\\xe4me" in outcome.err
    assert not [method for method, _ in daemon.calls if method == "server.ensure"]
