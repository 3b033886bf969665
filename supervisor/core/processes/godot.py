"""Recognises Godot editors by their command lines, because an editor may hold unsaved work. Pure.

The rules are those of Godot's `main/main.cpp` (`Main::setup`, `Main::start`).
"""

import re
from collections.abc import Sequence

PROGRAM = re.compile(
    r"(org\.godotengine\.)?(godot|redot|blazium)(sharp)?[-_]?[0-9.]*"
    r"([-_.](v?[0-9][0-9a-z]*|mono|stable|dev[0-9]*|beta[0-9]*|rc[0-9]*|alpha[0-9]*|git|editor|tools|opt|debug|double"
    r"|console|linuxbsd|linux|x11|server|headless|windows|win32|win64|macos|osx|universal|x86|32|64|x86_64|arm32|arm64"
    r"|rv64|llvm|san|wrapped|bin|exe|app|appimage))*"
)
"""The names of the builds of Godot and its forks, including those of distributions. Servers for Godot do not match."""

WRAPPERS = frozenset(
    {
        "sh",
        "bash",
        "dash",
        "zsh",
        "env",
        "nice",
        "nohup",
        "setsid",
        "timeout",
        "stdbuf",
        "sudo",
        "flatpak",
        "bwrap",
        "snap",
        "firejail",
        "systemd-run",
        "xvfb-run",
        "dbus-run-session",
        "gamescope",
        "gamemoderun",
        "mangohud",
        "prime-run",
        "optirun",
        "wine",
        "wine64",
        "proton",
        "cmd",
        "cmd.exe",
    }
)
"""Programs that run another command line, which is part of their own."""

EDITOR_OPTIONS = frozenset(
    {
        "-e",
        "--editor",
        "-p",
        "--project-manager",
        "--recovery-mode",
        "--build-solutions",
        "--import",
        "--debug-server",
        "--lsp-port",
        "--dap-port",
        "--editor-pseudolocalization",
        "--export",
        "--export-release",
        "--export-debug",
        "--export-pack",
        "--export-patch",
    }
)
"""Options with which Godot runs as an editor or project manager, or which only an editor takes. `--build-solutions` of
Godot 3 leaves the editor open."""

PROJECT_FILE = "project.godot"
"""An argument with this end opens the editor. File managers open a project in this way."""

GAME_OPTIONS = frozenset(
    {
        "--path",
        "--main-pack",
        "-s",
        "--script",
        "--scene",
        "--main-loop",
        "--remote-debug",
        "--editor-pid",
        "--wid",
        "--write-movie",
        "--headless",
        "--check-only",
        "--doctool",
        "--gdscript-docs",
        "--convert-3to4",
        "--validate-conversion-3to4",
        "--test",
        "--quit",
        "--quit-after",
        "--version",
        "-h",
        "--help",
    }
)
"""Options with which Godot runs a project or a tool, unless one of `EDITOR_OPTIONS` is there, too."""

GAME_FILES = (".tscn", ".scn", ".escn", ".tres", ".res", ".pck", ".zip")
"""Ends of an argument that names what a game begins with."""

USER_ARGUMENTS = ("--", "++")
"""Arguments after one of these are for the project's scripts, not for Godot."""


def is_editor(command: Sequence[str]) -> bool:
    """Return whether this command line runs, or may run, a Godot editor or the project manager.

    A Godot program whose arguments name neither an editor nor a game opens the project of its current folder or the
    project manager, which cannot be told here: it counts as an editor. A program of another name counts if it was told
    to edit a project, because studios rename their builds. A game, also one that an editor runs, is no editor.
    """
    words = list(command)
    if words and _name(words[0]) in WRAPPERS:
        start = next((at for at, word in enumerate(words) if PROGRAM.fullmatch(_name(word))), 0)
        words = words[start:]
    if not words:
        return False
    end = next((at for at, word in enumerate(words) if at and word in USER_ARGUMENTS), len(words))
    arguments = words[1:end]
    options = set(arguments)
    project = any(argument.lower().endswith(PROJECT_FILE) for argument in arguments)
    if PROGRAM.fullmatch(_name(words[0])):
        if project or not EDITOR_OPTIONS.isdisjoint(options):
            return True
        return GAME_OPTIONS.isdisjoint(options) and not any(_begins_a_game(argument) for argument in arguments)
    edits = not options.isdisjoint({"-e", "--editor"})
    if edits and (project or "--path" in options):
        return True
    return len(arguments) == 1 and (project or "--project-manager" in options)


def named_projects(command: Sequence[str]) -> tuple[str, ...]:
    """Return the folders of projects that a command line of Godot names. They may be relative."""
    words = list(command)
    end = next((at for at, word in enumerate(words) if at and word in USER_ARGUMENTS), len(words))
    found = []
    for word, following in zip(words[:end], [*words[1:end], ""], strict=True):
        if word == "--path":
            found.append(following)
        elif word.lower().endswith(PROJECT_FILE):
            found.append(word[: -len(PROJECT_FILE)] or ".")
    return tuple(found)


def _name(word: str) -> str:
    """Return the name of a program without its folder."""
    return word.replace("\\", "/").rpartition("/")[2].lower()


def _begins_a_game(argument: str) -> bool:
    return argument.startswith("uid://") or argument.lower().endswith(GAME_FILES)
