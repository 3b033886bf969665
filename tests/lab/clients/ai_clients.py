"""The AI clients: their settings for a model on this machine, and how each is run without a person."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.lab.clients import packages
from tests.lab.clients.packages import Package

SERVER = "godot"
"""The name of the entry. Each client keeps it in the names of tools."""

Variables = dict[str, str]


class AiClient(NamedTuple):
    """An AI client.

    `name` is what `clients install` calls it. `configure` writes its settings below a home, before the entry of the
    server is there. `variables` returns the variables that it needs for a model at a URL. `run` is the command line
    that lets the model go to work, with a `{model}` for that URL; `list` is the one that shows its servers, and
    `connected` what it prints for one that is connected, if it connects at all.
    """

    name: str
    title: str
    package: Package
    configure: Callable[[Path], None]
    variables: Callable[[str], Variables]
    run: tuple[str, ...]
    list: tuple[str, ...]
    connected: str | None
    needs_newer_node: bool = False


def _nothing(_: Path) -> None:
    """Write nothing: variables say everything."""


def _claude_code(model: str) -> Variables:
    return {
        "ANTHROPIC_BASE_URL": model,
        "ANTHROPIC_API_KEY": "stand-in",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "ENABLE_TOOL_SEARCH": "false",
    }


CODEX_SETTINGS = """\
# A comment that stays.
model = "stand-in"
model_provider = "stand-in"
approval_policy = "never"

[model_providers.stand-in]
name = "stand-in"
env_key = "STAND_IN_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
stream_idle_timeout_ms = 600000
"""


def _configure_codex(home: Path) -> None:
    path = home / ".codex" / "config.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(CODEX_SETTINGS, encoding="utf-8")


def _codex(_: str) -> Variables:
    return {"STAND_IN_KEY": "stand-in"}


QUIET = {
    "telemetry": {"enabled": False},
    "privacy": {"usageStatisticsEnabled": False},
    "general": {"enableAutoUpdate": False, "disableAutoUpdate": True},
}


def _configure_gemini_cli(home: Path) -> None:
    security = {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}}
    _write(home / ".gemini" / "settings.json", {**QUIET, "security": security})


def _gemini_cli(model: str) -> Variables:
    return {
        "GEMINI_API_KEY": "stand-in",
        "GOOGLE_GEMINI_BASE_URL": model,
        "GEMINI_CLI_TRUST_WORKSPACE": "true",
    }


def _configure_qwen_code(home: Path) -> None:
    settings = {"security": {"auth": {"selectedType": "openai"}}, "tools": {"toolSearch": {"enabled": False}}}
    _write(home / ".qwen" / "settings.json", {**QUIET, **settings})


def _qwen_code(model: str) -> Variables:
    return {"OPENAI_API_KEY": "stand-in", "OPENAI_BASE_URL": f"{model}/v1", "OPENAI_MODEL": "stand-in"}


def _configure_opencode(home: Path) -> None:
    about = {"name": "stand-in", "tool_call": True, "limit": {"context": 10_000_000, "output": 8000}}
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "stand-in",
        "options": {"baseURL": "{env:STAND_IN}/v1", "apiKey": "stand-in"},
        "models": {"stand-in": about},
    }
    settings = {
        "$schema": "https://opencode.ai/config.json",
        "model": "stand-in/stand-in",
        "small_model": "stand-in/stand-in",
        "permission": "allow",
        "autoupdate": False,
        "provider": {"stand-in": provider},
    }
    _write(home / ".config" / "opencode" / "opencode.json", settings)


def _opencode(model: str) -> Variables:
    names = ("AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD", "DEFAULT_PLUGINS")
    return {"STAND_IN": model, **{f"OPENCODE_DISABLE_{name}": "1" for name in names}}


def _copilot_cli(model: str) -> Variables:
    return {
        "COPILOT_PROVIDER_BASE_URL": f"{model}/v1",
        "COPILOT_PROVIDER_API_KEY": "stand-in",
        "COPILOT_PROVIDER_TYPE": "openai",
        "COPILOT_MODEL": "stand-in",
        "COPILOT_OFFLINE": "true",
        "COPILOT_AUTO_UPDATE": "false",
    }


def _write(path: Path, content: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")


AI_CLIENTS = (
    AiClient(
        "claude", "Claude Code", packages.CLAUDE_CODE, _nothing, _claude_code,
        run=(
            *("claude", "-p", "go", "--allowedTools", f"mcp__{SERVER}"),
            *("--output-format", "stream-json", "--verbose"),
        ),
        list=("claude", "mcp", "list"), connected="Connected",
    ),
    AiClient(
        "codex", "Codex", packages.CODEX, _configure_codex, _codex,
        run=(
            *("codex", "exec", "--skip-git-repo-check", "-s", "danger-full-access", "--json"),
            *("-c", 'model_providers.stand-in.base_url="{model}/v1"', "go"),
        ),
        list=("codex", "mcp", "list"), connected=None,
    ),
    AiClient(
        "gemini", "Gemini CLI", packages.GEMINI_CLI, _configure_gemini_cli, _gemini_cli,
        run=("gemini", "-p", "go", "--yolo", "-m", "gemini-2.5-flash"),
        list=("gemini", "mcp", "list"), connected="Connected",
    ),
    AiClient(
        "opencode", "opencode", packages.OPENCODE, _configure_opencode, _opencode,
        run=("opencode", "run", "--format", "json", "go"),
        list=("opencode", "mcp", "list"), connected="connected",
    ),
    AiClient(
        "qwen", "Qwen Code", packages.QWEN_CODE, _configure_qwen_code, _qwen_code,
        run=("qwen", "-p", "go", "--yolo"),
        list=("qwen", "mcp", "list"), connected="Connected", needs_newer_node=True,
    ),
    AiClient(
        "copilot", "Copilot CLI", packages.COPILOT_CLI, _nothing, _copilot_cli,
        run=("copilot", "-p", "go", "--allow-all-tools", "--no-color", "--disable-builtin-mcps"),
        list=("copilot", "mcp", "list"), connected=None,
    ),
)  # fmt: skip
