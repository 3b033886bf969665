"""`url` and `connect`."""

from pathlib import Path

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
@pytest.mark.parametrize("command", ["url", "connect --direct"])
def test_url_of_a_server_that_does_not_run_is_a_warning(run: Run, daemon: Script, command: str, state: str) -> None:
    daemon.answers["server.get"] = server(state=state)
    done = run(*command.split())
    assert (done.code, "http://127.0.0.1:8000/mcp" in done.out) == (1, True)
    assert done.err.startswith(f"warning: godot-ai is {state}")


def test_url_of_a_server_without_one_is_not_found(run: Run, daemon: Script) -> None:
    daemon.answers["server.get"] = server(url=None)
    assert (run("url").code, run("url").out) == (4, "")


def bridge(monkeypatch: pytest.MonkeyPatch, *, moved: bool = False) -> None:
    """Let the entries of the MCP bridge have a program and variables that a test can compare."""
    monkeypatch.setattr("supervisor.cli.context.bridge.find_launcher", lambda _: ("/opt/bin/godot-supervisor",))
    if not moved:
        monkeypatch.setattr("supervisor.cli.context.bridge.bridge_variables", lambda _: {})


def test_connect_prints_the_command_for_claude(run: Run, daemon: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    bridge(monkeypatch)
    assert run("connect").out == "claude mcp add --scope user godot -- /opt/bin/godot-supervisor mcp\n"
    daemon.answers["server.list"] = {"servers": [server(id="unity-mcp", kind="unity-mcp")]}
    daemon.answers["server.get"] = server(id="unity-mcp", kind="unity-mcp")
    of_unity = "claude mcp add --scope user unity-mcp -- /opt/bin/godot-supervisor mcp unity-mcp\n"
    assert run("connect").out == run("connect", "claude", "unity-mcp").out == of_unity


def test_connect_needs_no_daemon(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    bridge(monkeypatch)
    assert run("connect", "gemini", "godot-ai").document["mcpServers"]["godot"]["args"] == ["mcp"]


def test_another_home_goes_with_the_entry(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bridge(monkeypatch, moved=True)
    assert f"godot -e GODOT_SUPERVISOR_HOME={home} -- " in run("connect").out
    assert run("connect", "json").document["mcpServers"]["godot"]["env"] == {"GODOT_SUPERVISOR_HOME": str(home)}


@pytest.mark.parametrize(
    ("client", "text", "file"),
    [
        ("codex", '[mcp_servers.godot]\ncommand = "/opt/bin/godot-supervisor"\nargs = ["mcp"]\n', ".codex/config.toml"),
        ("vscode", '"servers": {', ".vscode/mcp.json"),
        ("opencode", '"mcp": {', "opencode.json"),
        ("cursor", '"mcpServers": {', ".cursor/mcp.json"),
    ],
)
def test_connect_prints_the_text_for_a_clients_file(
    run: Run, monkeypatch: pytest.MonkeyPatch, client: str, text: str, file: str
) -> None:
    bridge(monkeypatch)
    outcome = run("connect", client)
    assert text in outcome.out
    assert file in outcome.err
    assert f"godot-supervisor clients install {client}" in outcome.err
    assert len(run("connect", client, "--json").document) == 1


def test_a_server_without_a_url_has_no_mcp_bridge(run: Run, daemon: Script) -> None:
    daemon.answers["server.list"] = {"servers": [server(id="other", kind="other")]}
    daemon.answers["server.get"] = server(id="other", kind="other", url=None, connect=BRIDGE)
    assert run("connect", "claude", "other").out.startswith("claude mcp add other -- ")


def test_direct_prints_the_servers_own_address(run: Run, daemon: Script) -> None:
    assert run("connect", "--direct").out == "claude mcp add --transport http godot-ai http://127.0.0.1:8000/mcp\n"
    daemon.answers["server.get"] = server(connect=BRIDGE)
    pasted = f"claude mcp add godot-ai -- {QUOTED} -m godot_ai attach --port 8000\n"
    assert run("connect", "claude", "godot-ai", "--direct").out == pasted
    assert run("connect", "codex", "--direct").code == 2


@pytest.mark.parametrize(
    ("client", "url", "bridge_type"),
    [("json", {"type": "http"}, {"type": "stdio"}), ("cursor", {}, {})],
)
def test_direct_prints_the_object_for_other_clients(
    run: Run, daemon: Script, client: str, url: dict[str, str], bridge_type: dict[str, str]
) -> None:
    entry = {**url, "url": "http://127.0.0.1:8000/mcp"}
    assert run("connect", client, "--direct").document == {"mcpServers": {"godot-ai": entry}}
    daemon.answers["server.get"] = server(id="godot-ai@my.game", connect=BRIDGE)
    of_bridge = {**bridge_type, "command": BRIDGE[0], "args": BRIDGE[1:]}
    document = run("connect", client, "godot-ai@my.game", "--direct").document
    assert document == {"mcpServers": {"godot-ai-my-game": of_bridge}}


@pytest.mark.parametrize("client", ["claude", "cursor", "json"])
def test_direct_of_a_server_without_an_address_is_refused(run: Run, daemon: Script, client: str) -> None:
    daemon.answers["server.get"] = server(url=None)
    outcome = run("connect", client, "--direct")
    assert (outcome.code, outcome.out) == (4, "")


def test_an_unknown_client_is_a_usage_error(run: Run) -> None:
    outcome = run("connect", "emacs")
    assert outcome.code == 2
    assert "cursor" in outcome.err


def test_a_server_typed_as_client_gets_a_suggestion(run: Run) -> None:
    outcome = run("connect", "toy")
    assert outcome.code == 2
    assert "connect claude toy" in outcome.err
