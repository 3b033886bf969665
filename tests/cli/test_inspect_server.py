from typing import Any

from click import unstyle

from supervisor.cli.server_commands import inspect_server
from supervisor.cli.text import server_report
from supervisor.errors import NotFound
from tests.cli.conftest import Run
from tests.cli.objects import CLAUDE, client, editor, owner, past, server, status, tool_call
from tests.cli.scripted import Script


def lines(now: float = 12520.0, editors: list[dict[str, Any]] | None = None, **fields: Any) -> list[str]:
    return [unstyle(text) for text in inspect_server.lines(server(**fields), editors or [], now=now)]


def test_a_healthy_server_shows_only_its_facts() -> None:
    shown = lines(reap={"verdict": "keep", "reasons": ["an owner lives"], "due_in_s": None}, root_pid=4299)
    assert shown.pop().startswith("  for Claude Code  claude mcp add --scope user godot ")
    assert shown == [
        "godot-ai 4.3.1  ready  for 3h12m",
        "  kind             godot-ai",
        "  project          -",
        "  origin           spawned",
        "  url              http://127.0.0.1:8000/mcp",
        "  ports            http 8000, ws 9500",
        "  process          pid 4300, up 3h12m",
        "  started as       pid 4299",
        "  sessions         0",
        "  restarts         0",
        "  reap             keep, an owner lives",
        "  log              /logs/godot-ai.log",
    ]


def test_a_server_without_a_process_has_no_pid() -> None:
    shown = lines(process=None, root_pid=None, sessions=None, state="backoff", version=None)
    assert shown[0] == "godot-ai  backoff  for 3h12m"
    assert "  process          -" in shown
    assert "  sessions         not counted" in shown
    assert "  sessions         unknown" in lines(sessions=None)


def test_missing_facts_are_left_out_if_they_are_optional() -> None:
    shown = lines(url=None, ports={}, root_pid=4300, project=None)
    assert [line.split()[0] for line in shown[1:]] == [
        "kind", "project", "origin", "url", "process", "sessions", "restarts", "reap", "log",
    ]  # fmt: skip


def test_owners_are_shown_with_their_editors() -> None:
    shown = lines(
        owners=[owner(), owner("b-2", 5, liveness="dead", leaving=True)],
        editors=[editor(name="game-1", busy="importing") | {"name": "Godot"}],
    )
    assert shown[-4:] == [
        "owners:",
        "  EDITOR  PID  LIVENESS  NAME   PROJECT        NOTE",
        "  game-1  123  alive     Godot  /home/me/game  busy: importing",
        "  b-2     5    dead      -      -              leaving",
    ]


def test_leases_and_ports_that_were_passed_over_are_shown() -> None:
    lease = {"id": "l-1", "server": "godot-ai", "holder": "ci", "ttl_s": 30.0, "expires_in_s": 12.34}
    held = {"port": 8000, "occupant": {"pid": 512, "command": ["nc"], "user": "me"}, "reason": "foreign"}
    assert lines(leases=[lease], relocated=[held])[-5:] == [
        "leases:",
        "  LEASE  HOLDER  EXPIRES IN",
        "  l-1    ci      12.3 s",
        "ports passed over:",
        "  8000: held by pid 512 (nc) of me",
    ]


def test_a_suspect_shows_when_it_is_checked_again() -> None:
    verdict = {"verdict": "suspect", "reasons": ["owner 3901 gone", "no session"], "due_in_s": 4.04}
    assert "  reap             suspect, in 4 s, owner 3901 gone; no session" in lines(reap=verdict)


def test_a_failure_and_its_log_come_last() -> None:
    failure = {"code": "START_FAILED", "message": "no\nanswer", "exit": -15, "log_tail": ["one", "t\x1bwo"]}
    assert lines(failure=failure)[-3:] == ["failure: START_FAILED: no?answer, killed (SIGTERM)", "  | one", "  | t?wo"]


def test_inspect_checks_the_health(run: Run, daemon: Script) -> None:
    daemon.answers["server.list"] = {"servers": [server()]}
    daemon.answers["server.get"] = server(owners=[owner()])
    daemon.answers["status"] = status(editors=[editor()])
    outcome = run("inspect")
    assert (outcome.code, outcome.err) == (0, "")
    assert "/home/me/game" in outcome.out
    assert daemon.params("server.get") == {"server": "godot-ai", "check": True}
    assert run("inspect", "godot-ai", "--json").document == server(owners=[owner()])


def test_inspect_of_an_ended_server(run: Run, daemon: Script) -> None:
    daemon.answers["server.get"] = NotFound("no server 'godot-ai'")
    daemon.answers["server.history"] = {"servers": [past(by="a script")]}
    done = run("inspect", "godot-ai")
    assert done.code == 0
    assert "  ended    stopped by a script" in done.out.splitlines()
    assert run("inspect", "godot-ai", "--json").document == past(by="a script")
    daemon.answers["server.history"] = {"servers": []}
    assert run("inspect", "godot-ai").code == 4


def test_the_reason_of_the_version_and_notes_are_shown() -> None:
    found = list(inspect_server.lines(server(version_why="it was asked for", notes=["a note"]), [], now=1000.0))
    assert ["version", "4.3.1: it was asked for"] in [text.split(maxsplit=1) for text in found]
    assert found[found.index("notes:") + 1] == "  a note"


def test_a_server_without_a_version_shows_no_reason() -> None:
    plain = server(version=None, version_why="from its recipe")
    assert not any("None" in line for line in inspect_server.lines(plain, [], now=1000.0))
    assert not any("None" in line for line in server_report.lines(plain, [], None, already_running=False))


def test_clients_and_their_calls_are_shown(run: Run, daemon: Script) -> None:
    owners = [owner("claude-code-1", 321, client=CLAUDE)]
    calls = [tool_call(), tool_call("scene_open", state="waiting", since=12519.0, editor_pid=None)]
    found = server(owners=owners, gate="serialize", calls=calls, calls_more=2)
    daemon.answers |= {"server.get": found, "server.list": {"servers": [found]}}
    daemon.answers["status"] = status(clients=[client(servers=["godot-ai"]), client("codex-1", name="codex")])
    shown = run("inspect", "godot-ai").out
    assert "gate             serialize" in shown
    assert "owners:" not in shown
    assert "codex" not in shown
    lines = [line.split() for line in shown.splitlines()]
    at = lines.index(["AI", "clients:"])
    assert lines[at + 2][:6] == ["claude-code", "2.1.0", "321", "game", "godot-ai", "4.3.1"]
    at = lines.index(["tool", "calls:"])
    assert lines[at + 2][:8] == ["running", "scene_create", "claude-code", "2.1.0", "321", "game", "pid", "123"]
    assert lines[at + 3][:2] == ["waiting", "scene_open"]
    assert lines[at + 4] == ["and", "2", "more"]
