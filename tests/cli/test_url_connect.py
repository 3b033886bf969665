"""`url` and `connect`."""

import pytest

from tests.cli.conftest import Run
from tests.cli.objects import QUOTED, server
from tests.cli.scripted import Script

BRIDGE = ["/opt/my env/python", "-m", "godot_ai", "attach", "--port", "8000"]


@pytest.fixture(autouse=True)
def only_server(daemon: Script) -> None:
    daemon.answers["server.list"] = {"servers": [server()]}
    daemon.answers["server.get"] = server()


def test_url_prints_only_the_url(run: Run, daemon: Script) -> None:
    assert run("url").out == "http://127.0.0.1:8000/mcp\n"
    document = {"server": "godot-ai", "url": "http://127.0.0.1:8000/mcp", "state": "ready"}
    assert run("url", "godot-ai", "--json").document == document
    assert daemon.all_params("server.get") == [{"server": "godot-ai"}] * 2


@pytest.mark.parametrize("state", ["failed", "backoff", "starting", "unhealthy", "stopping"])
@pytest.mark.parametrize("command", ["url", "connect"])
def test_url_of_a_server_that_does_not_run_is_a_warning(run: Run, daemon: Script, command: str, state: str) -> None:
    daemon.answers["server.get"] = server(state=state)
    done = run(command)
    assert (done.code, "http://127.0.0.1:8000/mcp" in done.out) == (1, True)
    assert done.err.startswith(f"warning: godot-ai is {state}")


def test_url_of_a_server_without_one_is_not_found(run: Run, daemon: Script) -> None:
    daemon.answers["server.get"] = server(url=None)
    assert (run("url").code, run("url").out) == (4, "")


def test_connect_prints_the_command_for_claude(run: Run, daemon: Script) -> None:
    assert run("connect").out == "claude mcp add --transport http godot-ai http://127.0.0.1:8000/mcp\n"
    daemon.answers["server.get"] = server(connect=BRIDGE)
    pasted = f"claude mcp add godot-ai -- {QUOTED} -m godot_ai attach --port 8000\n"
    assert run("connect", "claude", "godot-ai").out == pasted


@pytest.mark.parametrize(
    ("client", "url", "bridge"),
    [("json", {"type": "http"}, {"type": "stdio"}), ("cursor", {}, {})],
)
def test_connect_prints_the_object_for_other_clients(
    run: Run, daemon: Script, client: str, url: dict[str, str], bridge: dict[str, str]
) -> None:
    entry = {**url, "url": "http://127.0.0.1:8000/mcp"}
    assert run("connect", client).document == {"mcpServers": {"godot-ai": entry}}
    daemon.answers["server.get"] = server(id="godot-ai@my.game", connect=BRIDGE)
    entry_of_bridge = {**bridge, "command": BRIDGE[0], "args": BRIDGE[1:]}
    assert run("connect", client, "godot-ai@my.game").document == {"mcpServers": {"godot-ai-my-game": entry_of_bridge}}


@pytest.mark.parametrize(("client", "file"), [("cursor", "~/.cursor/mcp.json"), ("json", ".mcp.json")])
def test_the_file_that_the_object_is_for_is_named_on_stderr(run: Run, client: str, file: str) -> None:
    outcome = run("connect", client)
    assert file in outcome.err
    assert outcome.document["mcpServers"]
    assert run("connect", client, "--json").err == ""


@pytest.mark.parametrize("client", ["vscode", "codex", "gemini"])
def test_an_unsupported_client_name_is_not_taken_for_a_server(run: Run, client: str) -> None:
    outcome = run("connect", client)
    assert outcome.code == 2
    assert "connect json prints the object that most clients read" in outcome.err
    assert f"connect claude {client}" not in outcome.err


def test_with_json_every_client_gets_an_object(run: Run) -> None:
    assert run("connect", "claude", "--json").document == run("connect", "json").document


@pytest.mark.parametrize("client", ["claude", "cursor", "json"])
def test_connect_of_a_server_without_an_address_is_refused(run: Run, daemon: Script, client: str) -> None:
    daemon.answers["server.get"] = server(url=None)
    outcome = run("connect", client)
    assert (outcome.code, outcome.out) == (4, "")


def test_an_unknown_client_is_a_usage_error(run: Run) -> None:
    outcome = run("connect", "emacs")
    assert outcome.code == 2
    assert "cursor" in outcome.err


def test_a_server_typed_as_client_gets_a_suggestion(run: Run) -> None:
    outcome = run("connect", "toy")
    assert outcome.code == 2
    assert "connect claude toy" in outcome.err
