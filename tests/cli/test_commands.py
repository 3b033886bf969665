"""Commands without a daemon, and small commands against a daemon that answers from a script."""

from pathlib import Path

import pytest

from supervisor.errors import Busy, NotFound, NotOurs, PortsExhausted, SupervisorError
from supervisor.kinds.catalog import Catalog
from tests.cli.conftest import Run
from tests.cli.objects import editor, owner, server, status
from tests.cli.scripted import Script

BUILT_IN = Catalog.build({}).names()

NEEDS_A_DAEMON = (
    "status", "ps", "status --watch", "inspect", "down", "down x", "restart", "restart x --force", "wait --for ready",
    "url", "connect --direct", "reap", "ports", "logs x", "logs -f", "events", "events -f", "config reload",
    "environments list", "environments prune",
)  # fmt: skip
"""Command lines that ask a running daemon, and start none. A new command of that sort gets a line here."""


@pytest.mark.parametrize("command", NEEDS_A_DAEMON)
def test_without_a_daemon_the_hint_names_start(run: Run, home: Path, command: str) -> None:
    outcome = run(*command.split())
    assert outcome.code == 3
    assert outcome.out == ""
    suffix = f" (home: {home})" if command in ("status", "ps") else ""
    assert outcome.err == f"error: no daemon is running{suffix}\nhint: godot-supervisor start\n"


def test_without_a_daemon_json_is_an_error_object(run: Run) -> None:
    outcome = run("status", "--json")
    assert (outcome.code, outcome.out) == (3, "")
    assert outcome.error["code"] == "DAEMON_NOT_RUNNING"


def test_status_shows_the_table(run: Run, daemon: Script) -> None:
    daemon.answers["status"] = status(editors=[editor()], servers=[server(owners=[owner()])])
    outcome = run("status")
    assert (outcome.code, outcome.err) == (0, "")
    assert "game-1" in outcome.out
    assert run("ps").out == outcome.out


def test_status_json_is_the_daemons_answer(run: Run, daemon: Script) -> None:
    daemon.answers["status"] = status()
    assert run("status", "--json").document == status()


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


def test_reap_without_servers(run: Run, daemon: Script) -> None:
    daemon.answers["reap"] = {"servers": []}
    assert run("reap").out == "no servers\n"


def test_kinds_needs_no_daemon_and_lists_the_users_kinds(run: Run, home: Path) -> None:
    (home / "config.toml").write_text('[kinds.mine]\ncommand = ["x"]\nenv = { KEY = "hidden" }\n')
    outcome = run("kinds")
    assert [line.split()[0] for line in outcome.out.splitlines()] == ["KIND", *sorted(["mine", *BUILT_IN])]
    as_json = run("kinds", "--json")
    assert [kind["name"] for kind in as_json.document["kinds"]] == sorted(["mine", *BUILT_IN])
    assert "hidden" not in outcome.out + as_json.out


def test_an_invalid_configuration_names_the_file(run: Run, home: Path) -> None:
    (home / "config.toml").write_text("daemon = 3\n")
    outcome = run("kinds")
    assert outcome.code == 1
    assert "config.toml" in outcome.err


def test_kinds_shows_a_single_port_as_one(run: Run, home: Path) -> None:
    (home / "config.toml").write_text('[kinds.one]\ncommand = ["x"]\nports = { http = "18700" }\n')
    (line,) = [line for line in run("kinds").out.splitlines() if line.startswith("one ")]
    assert "  http 18700 " in line
