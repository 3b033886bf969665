"""Which command lines belong to Godot editors: what they hold may not be saved. Pure."""

import re
from collections.abc import Sequence

PROGRAM = re.compile(
    r"(org\.godotengine\.)?godot[-_]?[0-9.]*"
    r"([-_.](v?[0-9][0-9a-z]*|mono|stable|dev|beta[0-9]*|rc[0-9]*|alpha[0-9]*|editor|tools|opt|debug|double|console"
    r"|linuxbsd|linux|x11|server|headless|windows|win32|win64|macos|osx|universal|x86|32|64|x86_64|arm32|arm64|rv64"
    r"|llvm|san|bin|exe|app))*"
)
"""The names of Godot's builds, and those that distributions give them. Servers for Godot are not among them."""

EDITOR_OPTIONS = frozenset({"-e", "--editor", "-p", "--project-manager"})
USER_ARGUMENTS = ("--", "++")
"""What follows is the project's."""


def is_editor(command: Sequence[str]) -> bool:
    """Return whether this command line runs a Godot editor, or the project manager.

    A program of another name counts if it was told to edit a project, because studios rename their builds. A game,
    also one that an editor runs, is no editor.
    """
    if not command:
        return False
    options = set(command[1:])
    for mark in USER_ARGUMENTS:
        if mark in command[1:]:
            options &= set(command[1 : command.index(mark, 1)])
    name = command[0].replace("\\", "/").rpartition("/")[2].lower()
    if PROGRAM.fullmatch(name):
        # Without any option it opens the project manager.
        return not options or not EDITOR_OPTIONS.isdisjoint(options)
    return not options.isdisjoint({"-e", "--editor"}) and "--path" in options
