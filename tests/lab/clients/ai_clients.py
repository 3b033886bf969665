"""The AI clients: their settings for a model on this machine, and how each is run without a person."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.lab.clients import packages
from tests.lab.clients.packages import Package

SERVER = "godot-supervisor"
"""The name of the entry."""

MARKER = "godot"
"""A part of that name which each client keeps in the names of tools."""

Variables = dict[str, str]


class Entry(NamedTuple):
    """The command of an entry in a client's settings."""

    command: str
    arguments: tuple[str, ...]


class AiClient(NamedTuple):
    """An AI client.

    `command` is what `clients install` calls it. `configure` writes its settings below a home, for a model at a URL,
    and returns the variables that it needs. `run` is the command line that lets the model go to work; `list` is the one
    that shows its servers, and `connected` what it prints for one that is connected, if it connects at all.
    `entry` writes the entry of the server.
    """

    command: str
    title: str
    package: Package
    configure: Callable[[Path, str], Variables]
    entry: Callable[[Path, Entry], None]
    run: tuple[str, ...]
    list: tuple[str, ...]
    connected: str | None
    needs_newer_node: bool = False


def _update(path: Path, content: Mapping[str, object]) -> None:
    """Add keys to a JSON file, which is made if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps({**known, **content}, indent=2), encoding="utf-8")


def _claude_code(_: Path, model: str) -> Variables:
    return {
        "ANTHROPIC_BASE_URL": model,
        "ANTHROPIC_API_KEY": "stand-in",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "ENABLE_TOOL_SEARCH": "false",
    }


def _claude_code_entry(home: Path, entry: Entry) -> None:
    server = {"type": "stdio", "command": entry.command, "args": list(entry.arguments), "env": {}}
    _update(home / ".claude.json", {"mcpServers": {SERVER: server}})


CODEX_MODEL = """\
model = "stand-in"
model_provider = "stand-in"
approval_policy = "never"

[model_providers.stand-in]
name = "stand-in"
base_url = "{model}/v1"
env_key = "STAND_IN_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
stream_idle_timeout_ms = 600000
"""


def _codex(home: Path, model: str) -> Variables:
    path = home / ".codex" / "config.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(CODEX_MODEL.format(model=model), encoding="utf-8")
    return {"STAND_IN_KEY": "stand-in"}


def _codex_entry(home: Path, entry: Entry) -> None:
    table = f"\n[mcp_servers.{SERVER}]\ncommand = {json.dumps(entry.command)}\nargs = {json.dumps(entry.arguments)}\n"
    path = home / ".codex" / "config.toml"
    path.write_text(path.read_text(encoding="utf-8") + table, encoding="utf-8")


def _gemini_cli(home: Path, model: str) -> Variables:
    _update(
        home / ".gemini" / "settings.json",
        {
            "telemetry": {"enabled": False},
            "privacy": {"usageStatisticsEnabled": False},
            "general": {"enableAutoUpdate": False, "disableAutoUpdate": True},
            "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}},
        },
    )
    return {
        "GEMINI_API_KEY": "stand-in",
        "GOOGLE_GEMINI_BASE_URL": model,
        "GEMINI_CLI_TRUST_WORKSPACE": "true",
    }


def _qwen_code(home: Path, model: str) -> Variables:
    _update(
        home / ".qwen" / "settings.json",
        {
            "telemetry": {"enabled": False},
            "privacy": {"usageStatisticsEnabled": False},
            "general": {"enableAutoUpdate": False, "disableAutoUpdate": True},
            "security": {"auth": {"selectedType": "openai"}},
            "tools": {"toolSearch": {"enabled": False}},
        },
    )
    return {"OPENAI_API_KEY": "stand-in", "OPENAI_BASE_URL": f"{model}/v1", "OPENAI_MODEL": "stand-in"}


def _settings_entry(folder: str) -> Callable[[Path, Entry], None]:
    def write(home: Path, entry: Entry) -> None:
        server = {"command": entry.command, "args": list(entry.arguments)}
        _update(home / folder / "settings.json", {"mcpServers": {SERVER: server}})

    return write


def _opencode(home: Path, model: str) -> Variables:
    about = {"name": "stand-in", "tool_call": True, "limit": {"context": 10_000_000, "output": 8000}}
    _update(
        home / ".config" / "opencode" / "opencode.json",
        {
            "$schema": "https://opencode.ai/config.json",
            "model": "stand-in/stand-in",
            "small_model": "stand-in/stand-in",
            "permission": "allow",
            "autoupdate": False,
            "provider": {
                "stand-in": {
                    "npm": "@ai-sdk/openai-compatible",
                    "name": "stand-in",
                    "options": {"baseURL": f"{model}/v1", "apiKey": "stand-in"},
                    "models": {"stand-in": about},
                }
            },
        },
    )
    names = ("AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD", "DEFAULT_PLUGINS")
    return {f"OPENCODE_DISABLE_{name}": "1" for name in names}


def _opencode_entry(home: Path, entry: Entry) -> None:
    server = {"type": "local", "command": [entry.command, *entry.arguments], "enabled": True}
    _update(home / ".config" / "opencode" / "opencode.json", {"mcp": {SERVER: server}})


def _copilot_cli(_: Path, model: str) -> Variables:
    return {
        "COPILOT_PROVIDER_BASE_URL": f"{model}/v1",
        "COPILOT_PROVIDER_API_KEY": "stand-in",
        "COPILOT_PROVIDER_TYPE": "openai",
        "COPILOT_MODEL": "stand-in",
        "COPILOT_OFFLINE": "true",
        "COPILOT_AUTO_UPDATE": "false",
    }


def _copilot_cli_entry(home: Path, entry: Entry) -> None:
    server = {"type": "local", "command": entry.command, "args": list(entry.arguments), "tools": ["*"]}
    _update(home / ".copilot" / "mcp-config.json", {"mcpServers": {SERVER: server}})


AI_CLIENTS = (
    AiClient(
        "claude-code", "Claude Code", packages.CLAUDE_CODE, _claude_code, _claude_code_entry,
        run=(
            *("claude", "-p", "go", "--allowedTools", f"mcp__{SERVER}"),
            *("--output-format", "stream-json", "--verbose"),
        ),
        list=("claude", "mcp", "list"), connected="Connected",
    ),
    AiClient(
        "codex", "Codex", packages.CODEX, _codex, _codex_entry,
        run=("codex", "exec", "--skip-git-repo-check", "-s", "danger-full-access", "--json", "go"),
        list=("codex", "mcp", "list"), connected=None,
    ),
    AiClient(
        "gemini-cli", "Gemini CLI", packages.GEMINI_CLI, _gemini_cli, _settings_entry(".gemini"),
        run=("gemini", "-p", "go", "--yolo", "-m", "gemini-2.5-flash"),
        list=("gemini", "mcp", "list"), connected="Connected",
    ),
    AiClient(
        "opencode", "opencode", packages.OPENCODE, _opencode, _opencode_entry,
        run=("opencode", "run", "--format", "json", "go"),
        list=("opencode", "mcp", "list"), connected="connected",
    ),
    AiClient(
        "qwen-code", "Qwen Code", packages.QWEN_CODE, _qwen_code, _settings_entry(".qwen"),
        run=("qwen", "-p", "go", "--yolo"),
        list=("qwen", "mcp", "list"), connected="Connected", needs_newer_node=True,
    ),
    AiClient(
        "copilot-cli", "Copilot CLI", packages.COPILOT_CLI, _copilot_cli, _copilot_cli_entry,
        run=("copilot", "-p", "go", "--allow-all-tools", "--no-color", "--disable-builtin-mcps"),
        list=("copilot", "mcp", "list"), connected=None,
    ),
)  # fmt: skip
