"""The system to which each test belongs; tests/conftest.py applies it, docs/platforms.md lists the gaps."""

import os
import sys
from collections.abc import Mapping

import pytest

from tests.wine import WINE

SYSTEM = {"darwin": "macos", "win32": "windows"}.get(sys.platform, sys.platform)

POSIX_ONLY = pytest.mark.linux_only(and_macos=True)
"""A fact that macOS shares with Linux: modes and owners of files, unix sockets, signals, root."""

REASONS = ("linux_only", "needs_macos", "needs_real_windows")
"""The only reasons for which a test is skipped on Windows."""

IN_THE_EDITOR = "they play the editor of the laboratory, which is a program of Linux"

NOT_ON_WINDOWS: Mapping[str, str] = {
    "e2e": "the harness reads /proc and sends signals; tests/windows is its twin",
    "simulation": "there is no platform in it: what it finds on one system it finds on all, and it takes minutes",
    "benchmarks": "what is measured is Linux",
    "transcript": "no tests; what it records is checked by control/test_transcript.py",
    "cli/test_real_*.py": "they use the harness of e2e",
    "engine/test_*environments.py": "installers are shell scripts here, or take minutes; tests/windows runs a real one",
    "mcp/test_bridge_*.py": "they use the harness of e2e; tests/windows has the bridge too",
    "kinds/test_recipe_*.py": "they install the real packages through the harness of e2e; tests/windows does it there",
    "native/test_linux*.py": "the platform of Linux",
    "native/test_procfs.py": "the platform of Linux",
    "native/test_darwin.py": "the platform of macOS, which needs a POSIX system even for its fakes",
    "native/test_posix_processes.py": "processes of POSIX systems",
    "godot_addon/test_client*.py": IN_THE_EDITOR,
    "godot_addon/test_d*.py": IN_THE_EDITOR,
    "godot_addon/test_editor.py": IN_THE_EDITOR,
    "godot_addon/test_plugin_authors.py": IN_THE_EDITOR,
    "godot_addon/test_reload_project.py": IN_THE_EDITOR,
    "godot_addon/test_s*.py": IN_THE_EDITOR,
    "godot_addon/test_transcript.py": IN_THE_EDITOR,
    "lab": "shell scripts of Linux, which start Windows programs there",
    "native/test_inherited.py": "signals, masks and limits that a process inherits, which Windows does not have",
    "native/test_private_files.py": "groups of users, which Windows does not have",
    "contract/test_peer_check.py": "there are no unix sockets, so nobody asks who is at their other end",
    "test_packaging.py": "what a wheel holds is the same everywhere; it is built once, on Linux",
}
ONLY_ON_WINDOWS: Mapping[str, str] = {
    "windows": "the daemon on Windows; run under Wine by .ci/run",
    "native/test_windows*.py": "the platform of Windows",
}
NOT_ON: Mapping[str, Mapping[str, str]] = {
    "windows": NOT_ON_WINDOWS,
    "linux": ONLY_ON_WINDOWS,
    "macos": {
        **ONLY_ON_WINDOWS,
        "native/test_linux*.py": "the platform of Linux",
        "native/test_procfs.py": "the platform of Linux",
    },
}


def not_here(item: pytest.Item) -> str | None:
    """Return why this test is not run on this system; None if it is run."""
    linux = item.get_closest_marker("linux_only")
    if linux and SYSTEM != "linux" and not (SYSTEM == "macos" and linux.kwargs.get("and_macos")):
        return "linux_only"
    if item.get_closest_marker("needs_macos") and SYSTEM != "macos":
        return "needs_macos"
    if item.get_closest_marker("needs_real_windows") and (SYSTEM != "windows" or WINE):
        return "needs_real_windows"
    return None


def is_root() -> bool:
    """Return whether this process is root on a POSIX system."""
    return hasattr(os, "geteuid") and os.geteuid() == 0
