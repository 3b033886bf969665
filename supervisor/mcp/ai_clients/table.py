"""The AI clients: where their files lie, and which form an entry has there. CONTRIBUTING.md says how to add one."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...values import frozen
from .documents.json_tree import Dialect
from .entry import Entry, ExistingEntry, texts, variables_in
from .places import Places

STRICT = Dialect(comments=False, trailing_commas=False)
COMMENTS = Dialect(comments=True, trailing_commas=False)
JSONC = Dialect(comments=True, trailing_commas=True)


@frozen
class Shape:
    """The form of an entry: a function for each direction, and the key of its variables."""

    variables: str
    write: Callable[[Entry], dict[str, Any]]
    read: Callable[[str, Mapping[str, Any]], ExistingEntry]


@frozen
class AiClient:
    """An AI client that can have entries.

    Attributes:
        name: what users type.
        title: what the client calls itself.
        programs: its commands, by which it is found.
        folders: folders that are there if it has run, by which it is found.
        user_files: its file for all projects of a user: the first one of these that exists, or else the last one.
        project_files: the same for one project, relative to the project's folder; empty if there is none.
        table: the keys to the table of entries.
        shape: the form of an entry.
        dialect: of JSON; None for TOML.
        local_table: the keys to the table of entries for one project in the user's file; None if there is none.
        project_shape: the form of an entry in a project's file, if it is another one there.
        project_note: what else a project's file needs before the client reads it.
    """

    name: str
    title: str
    programs: tuple[str, ...]
    folders: Callable[[Places], tuple[Path, ...]]
    user_files: Callable[[Places], tuple[Path, ...]]
    project_files: tuple[str, ...]
    table: tuple[str, ...]
    shape: Shape
    dialect: Dialect | None = JSONC
    local_table: Callable[[str], tuple[str, ...]] | None = None
    project_shape: Shape | None = None
    project_note: str | None = None


# --- the forms of entries ---


def _command_and_args(entry: Entry) -> dict[str, Any]:
    program, *arguments = entry.command
    variables = {"env": dict(entry.variables)} if entry.variables else {}
    return {"command": program, "args": arguments, **variables}


def _read_command_and_args(name: str, value: Mapping[str, Any]) -> ExistingEntry:
    program = value.get("command")
    return ExistingEntry(
        name,
        (program, *texts(value.get("args"))) if isinstance(program, str) else (),
        variables_in(value.get("env")),
        _url(value, "url", "httpUrl", "serverUrl"),
        value.get("disabled") is True or value.get("enabled") is False,
    )


def _write_opencode(entry: Entry) -> dict[str, Any]:
    variables = {"environment": dict(entry.variables)} if entry.variables else {}
    return {"type": "local", "command": list(entry.command), "enabled": True, **variables}


def _read_opencode(name: str, value: Mapping[str, Any]) -> ExistingEntry:
    variables = variables_in(value.get("environment"))
    disabled = value.get("enabled") is False
    return ExistingEntry(name, texts(value.get("command")), variables, _url(value, "url"), disabled)


def _url(value: Mapping[str, Any], *keys: str) -> str | None:
    return next((value[key] for key in keys if isinstance(value.get(key), str)), None)


PLAIN = Shape("env", _command_and_args, _read_command_and_args)
TYPED = Shape("env", lambda entry: {"type": "stdio", **_command_and_args(entry)}, _read_command_and_args)
COPILOT = Shape(
    "env", lambda entry: {"type": "local", **_command_and_args(entry), "tools": ["*"]}, _read_command_and_args
)
OPENCODE = Shape("environment", _write_opencode, _read_opencode)


# --- the clients ---

CLIENTS: Mapping[str, AiClient] = {
    client.name: client
    for client in (
        AiClient(
            name="claude",
            title="Claude Code",
            programs=("claude",),
            folders=lambda places: (places.variable_or_home("CLAUDE_CONFIG_DIR", ".claude"),),
            # The first one is of early releases, and is still read first where it exists.
            user_files=lambda places: (
                places.variable_or_home("CLAUDE_CONFIG_DIR", ".claude") / ".config.json",
                places.variable_or_home("CLAUDE_CONFIG_DIR", "") / ".claude.json",
            ),
            project_files=(".mcp.json",),
            table=("mcpServers",),
            shape=TYPED,
            dialect=STRICT,
            local_table=lambda project: ("projects", project, "mcpServers"),
            project_note="Claude Code asks in the project before it starts a server of .mcp.json: run `claude` there",
        ),
        AiClient(
            name="codex",
            title="Codex",
            programs=("codex",),
            folders=lambda places: (places.variable_or_home("CODEX_HOME", ".codex"),),
            user_files=lambda places: (places.variable_or_home("CODEX_HOME", ".codex") / "config.toml",),
            project_files=(".codex/config.toml",),
            table=("mcp_servers",),
            shape=PLAIN,
            dialect=None,
            project_note="Codex reads .codex/config.toml in projects that it trusts only: run `codex` there",
        ),
        AiClient(
            name="gemini",
            title="Gemini CLI",
            programs=("gemini",),
            folders=lambda places: (places.variable_or_home("GEMINI_CLI_HOME", "") / ".gemini",),
            user_files=lambda places: (places.variable_or_home("GEMINI_CLI_HOME", "") / ".gemini/settings.json",),
            project_files=(".gemini/settings.json",),
            table=("mcpServers",),
            shape=PLAIN,
            dialect=COMMENTS,
            project_note="Gemini CLI starts servers in folders that it trusts only: run `gemini` there",
        ),
        AiClient(
            name="cursor",
            title="Cursor",
            programs=("cursor", "cursor-agent"),
            folders=lambda places: (places.home / ".cursor",),
            user_files=lambda places: (places.home / ".cursor/mcp.json",),
            project_files=(".cursor/mcp.json",),
            table=("mcpServers",),
            shape=PLAIN,
        ),
        AiClient(
            name="vscode",
            title="VS Code",
            programs=("code",),
            folders=lambda places: (places.vscode_folder, places.home / ".vscode"),
            user_files=lambda places: (places.vscode_folder / "User/mcp.json",),
            project_files=(".vscode/mcp.json",),
            table=("servers",),
            shape=TYPED,
        ),
        AiClient(
            name="windsurf",
            title="Windsurf",
            programs=("windsurf",),
            folders=lambda places: (places.home / ".codeium/windsurf",),
            user_files=lambda places: (places.home / ".codeium/windsurf/mcp_config.json",),
            project_files=(),
            table=("mcpServers",),
            shape=PLAIN,
        ),
        AiClient(
            name="opencode",
            title="opencode",
            programs=("opencode",),
            folders=lambda places: (places.xdg_config / "opencode",),
            user_files=lambda places: (
                places.xdg_config / "opencode/opencode.jsonc",
                places.xdg_config / "opencode/opencode.json",
            ),
            project_files=("opencode.jsonc", "opencode.json"),
            table=("mcp",),
            shape=OPENCODE,
        ),
        AiClient(
            name="copilot",
            title="Copilot CLI",
            programs=("copilot",),
            folders=lambda places: (places.variable_or_home("COPILOT_HOME", ".copilot"),),
            user_files=lambda places: (places.variable_or_home("COPILOT_HOME", ".copilot") / "mcp-config.json",),
            # Claude Code reads the same file, and does not know the type "local".
            project_files=(".mcp.json",),
            table=("mcpServers",),
            shape=COPILOT,
            project_shape=TYPED,
            project_note="Copilot CLI reads .mcp.json in folders that it trusts only: run `copilot` there",
        ),
        AiClient(
            name="qwen",
            title="Qwen Code",
            programs=("qwen",),
            folders=lambda places: (places.variable_or_home("QWEN_HOME", ".qwen"),),
            user_files=lambda places: (places.variable_or_home("QWEN_HOME", ".qwen") / "settings.json",),
            project_files=(".qwen/settings.json",),
            table=("mcpServers",),
            shape=PLAIN,
            dialect=COMMENTS,
            project_note="Qwen Code asks in the project before it starts a server of its file: run `qwen` there",
        ),
    )
}

ALIASES: Mapping[str, str] = {
    "claude-code": "claude",
    "codex-cli": "codex",
    "gemini-cli": "gemini",
    "vs-code": "vscode",
    "code": "vscode",
    "copilot-cli": "copilot",
    "qwen-code": "qwen",
}
"""Other names that users type."""
