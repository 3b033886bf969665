"""docs/commands.schema.json, the schema of the JSON that each command prints."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from supervisor.cli.daemon_commands import service
from supervisor.errors import NotFound
from supervisor.service.report import ServiceReport
from supervisor.service.steps import CommandResult, Steps
from tests.cli.conftest import Run
from tests.cli.objects import editor, event, owner, past, server, status
from tests.cli.scripted import Script, Streaming
from tests.cli.test_main import every_command
from tests.protocol import COMMANDS, check_document

DEFINED = json.loads(COMMANDS.read_text(encoding="utf-8"))["$defs"]
WITHOUT_A_DOCUMENT = {"service run", "ps", "mcp"}
HOW_TO_CONNECT = {"connect": ["/opt/python", "-m", "bridge"]}


def test_the_file_is_a_schema() -> None:
    Draft202012Validator.check_schema(json.loads(COMMANDS.read_text(encoding="utf-8")))


def test_every_command_has_a_definition() -> None:
    commands = {" ".join(words) for words in every_command()} - WITHOUT_A_DOCUMENT
    assert DEFINED.keys() == commands | {"restart --daemon", "error"}


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("config path", ""),
        ("config show", ""),
        ("config show", "godot-ai"),
        ("config validate", ""),
        ("kinds", ""),
        ("version", ""),
    ],
)
def test_documents_without_a_daemon_are_as_defined(run: Run, command: str, words: str) -> None:
    check_document(command, run(*command.split(), *words.split(), "--json").document)


@pytest.mark.parametrize(
    ("command", "words", "row"),
    [
        ("url", "", {}),
        ("connect", "claude", {}),
        ("connect", "cursor", {}),
        ("connect", "json", {}),
        ("connect", "codex", {}),
        ("connect", "opencode", {}),
        ("connect", "copilot", {}),
        ("connect", "json --direct", HOW_TO_CONNECT),
        ("connect", "cursor --direct", HOW_TO_CONNECT),
        ("inspect", "", {}),
    ],
)
def test_documents_of_a_server_are_as_defined(
    run: Run, daemon: Script, command: str, words: str, row: dict[str, Any]
) -> None:
    found = server(owners=[owner()], **row)
    daemon.answers |= {
        "server.list": {"servers": [found]},
        "server.get": found,
        "status": status(editors=[editor()], servers=[found]),
    }
    check_document(command, run(command, *words.split(), "--json").document)


def test_the_document_of_an_ended_server_is_as_defined(run: Run, daemon: Script) -> None:
    daemon.answers["server.get"] = NotFound("no server 'godot-ai'")
    daemon.answers["server.history"] = {"servers": [past(by="a script")]}
    check_document("inspect", run("inspect", "godot-ai", "--json").document)


@pytest.mark.parametrize("command", ["down", "restart"])
def test_the_document_of_several_servers_is_as_defined(run: Run, daemon: Script, command: str) -> None:
    found = [server(), server(id="other")]
    daemon.answers |= {
        "server.list": {"servers": found},
        "server.stop": lambda params: server(id=params["server"], state="stopped"),
        "server.restart": lambda params: server(id=params["server"]),
    }
    check_document(command, run(command, "godot-ai", "other", "--json").document)


def test_events_and_errors_are_as_defined(run: Run, daemon: Script) -> None:
    notices = [("event", event(1)), ("resync", {"reason": "gap"})]
    daemon.answers["events.subscribe"] = Streaming({"instance_id": "i-1", "seq": 0, "snapshot": None}, notices)
    printed = run("events", "--json").out.splitlines()
    assert len(printed) > 1
    for line in printed:
        check_document("events", json.loads(line))
    daemon.answers["server.get"] = NotFound("no server 'none'")
    daemon.answers["server.history"] = {"servers": []}
    check_document("error", json.loads(run("inspect", "none", "--json").err))


def test_the_service_commands_documents_are_as_defined(capsys: pytest.CaptureFixture[str]) -> None:
    steps = Steps(lambda _: CommandResult(0, "", ""), dry_run=True)
    steps.run("systemctl", "--user", "daemon-reload")
    steps.note("lingering is off")
    service._print_steps(steps, as_json=True)
    document = json.loads(capsys.readouterr().out)
    check_document("service install", document)
    check_document("service uninstall", document)
    report = ServiceReport("systemd", "godot-supervisor.service", installed=True, pid=7, differences=("command",))
    check_document("service status", {**report.document(), "daemon": None, "notes": []})


@pytest.mark.parametrize(
    ("command", "wrong"),
    [("url", {"server": "x"}), ("connect", {"mcpServers": {}}), ("kinds", {"kinds": [{"name": 1}]}), ("up", {})],
)
def test_a_wrong_document_is_refused(command: str, wrong: object) -> None:
    with pytest.raises(AssertionError, match="no document of"):
        check_document(command, wrong)
