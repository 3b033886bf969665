"""`clients`: the files of AI clients, in a home of their own."""

import json
import os
import shlex
import stat
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Outcome, Run
from tests.privilege import IS_ROOT
from tests.protocol import check_document
from tests.systems import POSIX_ONLY

PROGRAM = "godot-supervisor"
SECRET = "s3cret-of-another-server"
WITHOUT_LINKS = POSIX_ONLY
"""On Windows links need a privilege, and modes mean nothing."""


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home folder without clients, in which this program is on PATH."""
    folder = tmp_path / "user"
    program = folder / "bin" / (PROGRAM if os.name == "posix" else f"{PROGRAM}.exe")
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for name in list(os.environ):
        if name.startswith(("XDG_", "CODEX_", "CLAUDE", "GEMINI_", "COPILOT_", "QWEN_", "VSCODE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    monkeypatch.setenv("APPDATA", str(folder / "roaming"))
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def clients(run: Run, user: Path) -> Run:
    """Return a function that runs `clients`, with a launcher that exists, and without provisioning."""
    launcher = str(next((user / "bin").iterdir()))

    def call(command: str, *words: str) -> Outcome:
        options = ("--no-provision", "--command", launcher) if command == "install" else ()
        return run("clients", command, *words, *options)

    return call


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


USER_FILES = {
    "claude": ".claude.json",
    "codex": ".codex/config.toml",
    "gemini": ".gemini/settings.json",
    "cursor": ".cursor/mcp.json",
    "windsurf": ".codeium/windsurf/mcp_config.json",
    "opencode": ".config/opencode/opencode.json",
    "copilot": ".copilot/mcp-config.json",
    "qwen": ".qwen/settings.json",
}
PROJECT_FILES = {
    "claude": ".mcp.json",
    "codex": ".codex/config.toml",
    "gemini": ".gemini/settings.json",
    "cursor": ".cursor/mcp.json",
    "vscode": ".vscode/mcp.json",
    "opencode": "opencode.json",
    "copilot": ".mcp.json",
    "qwen": ".qwen/settings.json",
}


def entry_in(file: Path) -> dict[str, Any]:
    """Return the entry `godot` of a file."""
    if file.suffix == ".toml":
        found: dict[str, Any] = tomllib.loads(file.read_text())["mcp_servers"]["godot"]
        return found
    document = json.loads(file.read_text())
    table = next(document[key] for key in ("mcpServers", "servers", "mcp") if key in document)
    entry: dict[str, Any] = table["godot"]
    return entry


@pytest.mark.parametrize("client", USER_FILES)
def test_a_named_client_gets_its_user_file(clients: Run, user: Path, client: str) -> None:
    before = files_below(user)
    done = clients("install", client)
    assert (done.code, done.err) == (0, "")
    entry = entry_in(user / USER_FILES[client])
    command = entry["command"] if isinstance(entry["command"], list) else [entry["command"], *entry["args"]]
    assert Path(command[0]).is_absolute()
    assert command[1:] == ["mcp"]
    assert clients("install", client).out.count("nothing to do") == 1
    assert clients("check", client).code == 0
    assert clients("remove", client).code == 0
    assert files_below(user) == before
    assert not (user / USER_FILES[client]).parent.is_dir() or client == "claude"


@pytest.mark.parametrize("client", PROJECT_FILES)
def test_a_project_gets_its_own_file(clients: Run, user: Path, tmp_path: Path, client: str) -> None:
    project = tmp_path / "game"
    project.mkdir()
    assert clients("install", client, "--project", str(project)).code == 0
    assert entry_in(project / PROJECT_FILES[client])
    assert files_below(user).keys() == {f"bin/{PROGRAM}"} or sys.platform == "win32"
    assert clients("remove", client, "--project", str(project)).code == 0
    assert list(project.iterdir()) == []


def test_the_forms_of_entries_are_those_of_the_clients(clients: Run, user: Path) -> None:
    assert clients("install", *USER_FILES).code == 0
    entries = {client: entry_in(user / file) for client, file in USER_FILES.items()}
    assert entries["claude"]["type"] == "stdio"
    assert (entries["opencode"]["type"], entries["opencode"]["enabled"]) == ("local", True)
    assert (entries["copilot"]["type"], entries["copilot"]["tools"]) == ("local", ["*"])
    for client in ("codex", "gemini", "cursor", "windsurf", "qwen"):
        assert entries[client].keys() == {"command", "args", "env"}


def test_only_clients_that_are_found_get_a_file(clients: Run, user: Path) -> None:
    assert clients("install").code == 4
    (user / ".codex").mkdir()
    assert clients("install").out.startswith("Codex: godot added")
    assert not (user / ".gemini").exists()


def test_a_client_is_found_by_its_program(clients: Run, user: Path) -> None:
    program = user / "bin" / ("qwen.cmd" if sys.platform == "win32" else "qwen")
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert "Qwen Code: godot added" in clients("install").out


def test_a_client_is_found_by_its_file(clients: Run, user: Path) -> None:
    (user / ".claude.json").write_text("{}")
    assert [row["client"] for row in clients("list", "--json").document["clients"] if row["found"]] == ["claude"]
    assert "Claude Code: godot added" in clients("install").out


def test_a_dry_run_writes_nothing(clients: Run, user: Path, home: Path) -> None:
    (user / ".gemini").mkdir()
    before, of_home = files_below(user), files_below(home)
    assert "would be added" in clients("install", "--dry-run").out
    assert (files_below(user), files_below(home), list(home.iterdir())) == (before, of_home, [])


def test_a_backup_is_kept_owner_only_and_bounded(clients: Run, user: Path, home: Path) -> None:
    file = user / ".gemini/settings.json"
    file.parent.mkdir()
    for number in range(12):
        file.write_text(json.dumps({"number": number}))
        assert clients("install", "gemini").code == 0
    backups = sorted((home / "client-files").glob("gemini-*.bak"))
    assert len(backups) == 10
    assert json.loads(backups[-1].read_text()) == {"number": 11}
    if sys.platform != "win32":
        assert {stat.S_IMODE(path.stat().st_mode) for path in backups} == {0o600}
        assert stat.S_IMODE((home / "client-files").stat().st_mode) == 0o700


def test_the_diff_shows_no_value_of_other_entries(clients: Run, user: Path) -> None:
    file = user / ".claude.json"
    file.write_text(json.dumps({"mcpServers": {"other": {"command": "x", "env": {"TOKEN": SECRET}}}}))
    (user / ".codex").mkdir()
    (user / ".codex/config.toml").write_text(f'[mcp_servers.other]\nenv = {{ TOKEN = "{SECRET}" }}')
    for command in ("install", "remove"):
        done = clients(command, "claude", "codex")
        assert (done.code, done.out.count("\n  @@ "), SECRET in done.out) == (0, 2, False)
        assert '"TOKEN": "…"' in done.out


@WITHOUT_LINKS
def test_mode_and_link_of_a_file_stay(clients: Run, user: Path) -> None:
    real = user / "dotfiles" / "claude.json"
    real.parent.mkdir()
    real.write_text("{}")
    real.chmod(0o640)
    (user / ".claude.json").symlink_to(real)
    assert clients("install", "claude").code == 0
    assert (user / ".claude.json").is_symlink()
    assert entry_in(real)
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


BROKEN = {
    "no json": b"{",
    "a list": b"[]",
    "a table that is null": b'{"mcpServers": null}',
    "a table that is a list": b'{"mcpServers": []}',
    "a comment": b'{\n// c\n"a": 1}',
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "an entry of others": b'{"mcpServers": {"godot": {"command": "node", "args": ["x.js"]}}}',
    "too long": b" " * (16 * 1024 * 1024 + 1),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_file_that_cannot_be_edited_stays_as_it_is(clients: Run, user: Path, home: Path, what: str) -> None:
    file = user / ".claude.json"
    file.write_bytes(BROKEN[what])
    done = clients("install", "claude", "gemini", "--json")
    codes = {"an entry of others": ("CLIENT_ENTRY_NOT_OURS", 5), "too long": ("CLIENT_FILE_UNUSABLE", 1)}
    failed, added = done.document["changes"]
    assert (failed["error"]["code"], done.code) == codes.get(what, ("CLIENT_FILE_INVALID", 1))
    assert (failed["outcome"], added["outcome"]) == ("failed", "added")
    assert file.read_bytes() == BROKEN[what]
    assert not [path for path in (home / "client-files").iterdir() if path.name.startswith("claude")]


@WITHOUT_LINKS
@pytest.mark.parametrize(
    "what", ["folder", "fifo", "read-only", "hard link", "link outside", "dangling link", "unreadable"]
)
def test_a_place_that_cannot_be_replaced_is_refused(clients: Run, user: Path, tmp_path: Path, what: str) -> None:
    file, elsewhere = user / ".claude.json", tmp_path / "elsewhere.json"
    elsewhere.write_text("{}")
    match what:
        case "folder":
            file.mkdir()
        case "fifo":
            os.mkfifo(file)
        case "read-only" | "unreadable":
            file.write_text("{}")
            file.chmod(0o400 if what == "read-only" else 0)
        case "hard link":
            file.write_text("{}")
            os.link(file, user / "second")
        case "link outside":
            file.symlink_to(elsewhere)
        case _:
            file.symlink_to(user / "nothing")
    done = clients("install", "claude", "--json")
    assert (done.code, done.document["changes"][0]["error"]["code"]) == (1, "CLIENT_FILE_UNUSABLE")
    assert elsewhere.read_text() == "{}"
    assert not (user / "nothing").exists()


@POSIX_ONLY
@pytest.mark.needs_root
@pytest.mark.skipif(os.name == "posix" and not IS_ROOT, reason="only root can make a file of another user")
def test_a_file_of_another_user_is_refused(clients: Run, user: Path) -> None:
    file = user / ".claude.json"
    file.write_text("{}")
    os.chown(file, 12345, -1)
    done = clients("install", "claude", "--json")
    assert (done.code, done.document["changes"][0]["error"]["code"]) == (1, "CLIENT_FILE_UNUSABLE")
    assert (file.read_text(), file.stat().st_uid) == ("{}", 12345)


def test_an_entry_of_ours_that_has_moved_is_found_and_mended(clients: Run, user: Path) -> None:
    file = user / ".claude.json"
    entry = {"command": f"/gone/bin/{PROGRAM}", "args": ["mcp"], "timeout": 9}
    file.write_text(json.dumps({"mcpServers": {"godot": entry}}, indent=2))
    found = clients("check", "--json")
    assert found.code == 1
    assert [row["code"] for row in found.document["findings"]] == ["PROGRAM_MISSING", "OTHER_HOME"]
    assert found.document["findings"][0]["line"] == 3
    assert "godot updated" in clients("install", "claude").out
    assert (entry_in(file)["timeout"], clients("check").code) == (9, 0)


JSON_ENTRY = '{"mcpServers": {"godot": {"command": "godot-supervisor", "args": ["mcp"], '
TOML_ENTRY = '[mcp_servers.godot]\ncommand = "godot-supervisor"\nargs = ["mcp"]\n'


@pytest.mark.parametrize(
    ("client", "before", "after"),
    [
        (
            "claude",
            JSON_ENTRY + '"env": {"A": "1", HOME}, "x": 1}}}',
            JSON_ENTRY + '"env": {"A": "1"}, "x": 1, TYPE}}}',
        ),
        ("claude", JSON_ENTRY + '"env": {HOME}, "x": 1}}}', JSON_ENTRY + '"x": 1, TYPE}}}'),
        (
            "codex",
            TOML_ENTRY + '[mcp_servers.godot.env]\nA = "1" # a\nHOMEX\n',
            TOML_ENTRY + '[mcp_servers.godot.env]\nA = "1" # a\n',
        ),
        ("codex", TOML_ENTRY + "env = { HOMEX }\nx = 1\n", TOML_ENTRY + "x = 1\n"),
    ],
)
def test_the_variable_of_another_home_is_taken_out(
    clients: Run, user: Path, monkeypatch: pytest.MonkeyPatch, client: str, before: str, after: str
) -> None:
    file = user / USER_FILES[client]
    file.parent.mkdir(exist_ok=True)
    old = before.replace("HOMEX", 'GODOT_SUPERVISOR_HOME = "/old"').replace("HOME}", '"GODOT_SUPERVISOR_HOME": "/old"}')
    file.write_text(old)
    monkeypatch.delenv("GODOT_SUPERVISOR_HOME")
    launcher = json.dumps(str(next((user / "bin").iterdir())))
    assert clients("install", client).code == 0
    assert file.read_text().replace(launcher, '"godot-supervisor"') == after.replace("TYPE", '"type": "stdio"')
    assert "nothing to do" in clients("install", client).out


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "http", "url": "http://127.0.0.1:8000/mcp"},
        {"command": "/opt/venv/bin/godot-ai", "args": ["attach", "--port", "8000"]},
        {"command": "python", "args": ["-P", "-m", "godot_ai", "attach", "--port", "8000"]},
        {"command": "npx", "args": ["mcp-remote", "http://localhost:8000/mcp"]},
        {"command": "uvx", "args": ["--from", "mcpforunityserver==10.3.0", "mcp-for-unity"]},
    ],
)
def test_an_entry_at_a_fixed_port_is_found(clients: Run, user: Path, entry: dict[str, Any]) -> None:
    (user / ".claude.json").write_text(json.dumps({"mcpServers": {"x": entry, "y": {"command": "node"}}}, indent=2))
    found = clients("check", "--json")
    assert (found.code, [(row["code"], row["entry"]) for row in found.document["findings"]]) == (
        1,
        [("FIXED_PORT", "x")],
    )
    assert "fix: remove x, then: godot-supervisor clients install claude --user" in clients("check").out


def test_entries_for_any_project_of_claude_code_are_checked(clients: Run, user: Path, tmp_path: Path) -> None:
    entry = {"mcpServers": {"godot-ai": {"type": "http", "url": "http://127.0.0.1:8000/mcp"}}}
    here, gone = str(tmp_path), str(tmp_path / "gone")
    projects = {here: entry, gone: entry, "odd": entry, str(user): {"mcpServers": {}}, str(user / "bin"): None}
    (user / ".claude.json").write_text(json.dumps({"projects": projects}))
    found = clients("check", "--json").document["findings"]
    assert [(each["code"], each["scope"], each["line"]) for each in found] == [("FIXED_PORT", "local", 1)]
    assert found[0]["fix"].endswith(f"clients install claude --local --project {here}")
    assert clients("check", "--user").code == 0
    assert clients("check", "--project", str(user)).code == 0


def test_an_unrelated_port_is_no_finding(clients: Run, user: Path) -> None:
    entries = {"x": {"url": "http://127.0.0.1:3845/mcp"}, "y": {"url": "https://example.com:8000/mcp"}}
    (user / ".claude.json").write_text(json.dumps({"mcpServers": entries}))
    assert clients("check").code == 0


def test_two_kinds_have_entries_side_by_side(clients: Run, user: Path) -> None:
    assert clients("install", "gemini").code == 0
    assert clients("install", "gemini", "--kind", "unity-mcp").code == 0
    table = json.loads((user / ".gemini/settings.json").read_text())["mcpServers"]
    assert {name: entry["args"] for name, entry in table.items()} == {
        "godot": ["mcp"],
        "unity-mcp": ["mcp", "unity-mcp"],
    }
    assert clients("install", "gemini", "--kind", "nothing").code == 4
    assert clients("remove", "gemini").code == 0
    assert "note: it has unity-mcp, which --name or --kind removes" in clients("remove", "gemini").out
    assert list(json.loads((user / ".gemini/settings.json").read_text())["mcpServers"]) == ["unity-mcp"]


def test_the_local_scope_of_claude_code_is_in_the_users_file(clients: Run, user: Path, tmp_path: Path) -> None:
    project = tmp_path / "game"
    project.mkdir()
    assert clients("install", "claude", "--local", "--project", str(project)).code == 0
    projects = json.loads((user / ".claude.json").read_text())["projects"]
    assert list(projects[str(project.resolve())]["mcpServers"]) == ["godot"]
    assert clients("install", "codex", "--local", "--project", str(project)).code == 2
    nowhere = clients("install", "--local")
    assert (nowhere.code, "there is no project here" in nowhere.err) == (2, True)
    assert clients("remove", "claude", "--local", "--project", str(project)).code == 0
    assert not (user / ".claude.json").exists()


@pytest.mark.parametrize("text", [None, "{}", '{"a": 1}', '{\n  "mcpServers": {}\n}\n'])
@pytest.mark.parametrize("order", ["ab", "ba"])
def test_the_last_removal_restores_the_file(clients: Run, user: Path, text: str | None, order: str) -> None:
    file = user / ".gemini/settings.json"
    if text is not None:
        file.parent.mkdir()
        file.write_text(text)
    for name in "ab":
        assert clients("install", "gemini", "--name", name).code == 0
    for name in order:
        assert clients("remove", "gemini", "--name", name).code == 0
    assert (file.read_text() if file.exists() else None, file.parent.exists()) == (text, text is not None)


@WITHOUT_LINKS
def test_a_command_that_mends_can_be_typed(clients: Run, user: Path, tmp_path: Path) -> None:
    project = tmp_path / "it's a game"
    project.mkdir()
    for scope in ((), ("--local",)):
        assert clients("install", "claude", "--project", str(project), *scope).code == 0
    for file in (user / ".claude.json", project / ".mcp.json"):
        file.write_text(file.read_text().replace('"godot"', '"my godot"').replace(str(user / "bin"), "/nowhere"))
    fixes = [found["fix"] for found in clients("check", "--project", str(project), "--json").document["findings"]]
    assert [shlex.split(fix)[2:] for fix in fixes] == [
        ["remove", "claude", "--project", str(project), "--name", "my godot"],
        ["remove", "claude", "--local", "--project", str(project), "--name", "my godot"],
        ["remove", "copilot", "--project", str(project), "--name", "my godot"],
    ]
    for fix in fixes:
        assert clients(*shlex.split(fix)[2:]).code == 0
    assert clients("check", "--project", str(project)).code == 0


@WITHOUT_LINKS
@pytest.mark.skipif(IS_ROOT, reason="root may read everything")
def test_a_closed_folder_stops_no_other_client(clients: Run, user: Path) -> None:
    (user / ".codex").mkdir(mode=0)
    done = clients("install", "codex", "gemini", "--json")
    assert [change["outcome"] for change in done.document["changes"]] == ["failed", "added"]
    assert [change["outcome"] for change in clients("remove", "--json").document["changes"]] == ["failed", "removed"]
    assert clients("list").code == 0
    (user / ".codex").chmod(0o700)


def test_a_client_without_a_project_file_is_left_out(clients: Run, user: Path, tmp_path: Path) -> None:
    (user / ".codeium/windsurf").mkdir(parents=True)
    (user / ".cursor").mkdir()
    assert "Cursor" in clients("install", "--project", str(tmp_path)).out
    named = clients("install", "windsurf", "gemini", "--project", str(tmp_path))
    assert (named.code, "no file for one project" in named.err) == (2, True)
    assert "Gemini CLI: godot added" in named.out
    document = clients("install", "windsurf", "--project", str(tmp_path), "--json").document
    assert document["changes"][0]["error"]["code"] == "CLIENT_SCOPE_MISSING"
    check_document("clients install", document)


def test_a_wrong_client_is_a_usage_error_with_a_suggestion(clients: Run) -> None:
    done = clients("install", "cluade")
    assert (done.code, "did you mean claude?" in done.err) == (2, True)
    assert clients("install", "claude-code", "--user", "--project", ".").code == 2
    assert clients("install", "claude", "--name", "a b").code == 2


def test_documents_of_clients_are_as_defined(clients: Run, user: Path) -> None:
    (user / ".claude.json").write_text('{"mcpServers": {"x": {"url": "http://127.0.0.1:8000/mcp"}}}')
    (user / ".codex").mkdir()
    (user / ".codex/config.toml").write_text("[")
    for command in ("install", "list", "check", "remove"):
        words = () if command in {"list", "check"} else ("claude", "codex")
        check_document(f"clients {command}", clients(command, *words, "--json").document)


def test_variables_move_the_files_of_clients(clients: Run, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = {
        "CLAUDE_CONFIG_DIR": ".claude.json", "CODEX_HOME": "config.toml", "GEMINI_CLI_HOME": ".gemini/settings.json",
        "XDG_CONFIG_HOME": "opencode/opencode.json", "COPILOT_HOME": "mcp-config.json", "QWEN_HOME": "settings.json",
    }  # fmt: skip
    for variable in moved:
        monkeypatch.setenv(variable, str(user / variable))
    assert clients("install", "claude", "codex", "gemini", "opencode", "copilot", "qwen").code == 0
    assert [file for variable, file in moved.items() if not (user / variable / file).is_file()] == []
