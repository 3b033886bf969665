"""Finds entries of ours that are out of date, and entries of others that point at fixed ports of our kinds."""

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple

from ...errors import SupervisorError
from ...native.facts import HOME_VARIABLE, shell_line
from ...values import frozen
from .backups import Backups
from .entry import PROGRAM, ExistingEntry, is_name
from .launcher import is_same_program, resolve
from .target import LOCAL, PROJECT, USER, Target

_URL = re.compile(r"https?://(?:127\.0\.0\.1|localhost|\[::1\]|0\.0\.0\.0):([0-9]{1,5})(/[^\s\"'?#]*)?", re.IGNORECASE)
_PORT_OPTION = re.compile(r"--(?:http-)?port(?:=([0-9]{1,5}))?")


class KnownKind(NamedTuple):
    """What an entry of others shows of a kind: names in its command line, ports, and the path of its URL."""

    name: str
    words: Collection[str]
    ports: Sequence[range]
    path: str


@frozen
class Expected:
    """What an up-to-date entry has, on this machine and with this environment.

    `launcher` is empty if this installation has no path that stays. `kinds` is None if they are not known, because
    config.toml cannot be read.
    """

    launcher: tuple[str, ...]
    home: str | None
    kinds: Collection[str] | None
    environment: Mapping[str, str]

    def differences(self, entry: ExistingEntry) -> Iterator[tuple[str, str]]:
        """Yield what is out of date in an entry of ours: a code, and a text."""
        shown = entry.program
        if resolve(shown, self.environment) is None:
            yield "PROGRAM_MISSING", f"there is no program {shown}"
        elif self.launcher and not self._is_this_program(entry):
            yield "OTHER_INSTALLATION", f"it starts {shown}, which is another installation than this one"
        arguments = list(entry.arguments or ())
        project = _option(arguments, "--project")
        if project is not None and "$" not in project and not Path(project).is_dir():
            yield "PROJECT_MISSING", f"there is no folder {project}"
        if arguments and not arguments[0].startswith("-") and self.kinds is not None and arguments[0] not in self.kinds:
            yield "KIND_UNKNOWN", f"there is no kind {arguments[0]}"
        if not _is_same_home(entry.variables.get(HOME_VARIABLE), self.home):
            yield "OTHER_HOME", "it uses another home folder (GODOT_SUPERVISOR_HOME) than this shell"
        if entry.disabled:
            yield "DISABLED", "it is switched off in the client"

    def _is_this_program(self, entry: ExistingEntry) -> bool:
        if len(self.launcher) > 1:
            return entry.command[: len(self.launcher)] == self.launcher
        return is_same_program(entry.program, self.launcher[0], self.environment)


@frozen
class Finding:
    """Something that a user should know of an entry, or of a whole file (`entry` None)."""

    target: Target
    entry: str | None
    line: int | None
    code: str
    message: str
    fix: str | None

    def document(self) -> dict[str, Any]:
        """Return the finding for scripts."""
        return {
            "client": self.target.client.name,
            "scope": self.target.scope,
            "file": str(self.target.file),
            "line": self.line,
            "entry": self.entry,
            "code": self.code,
            "message": self.message,
            "fix": self.fix,
        }


def check(target: Target, expected: Expected, kinds: Collection[KnownKind], backups: Backups) -> Iterator[Finding]:
    """Yield the findings of one place. An entry whose program the user has chosen may have another one."""
    try:
        content = target.read()
        entries = target.entries(content)
    except SupervisorError as problem:
        yield Finding(target, None, problem.data.get("line"), problem.code, problem.message, problem.hint)
        return
    for entry, line in entries:
        if entry.is_ours:
            record = backups.record(content, (*target.table, entry.name))
            chosen = record is not None and record.chosen == entry.program
            for code, text in expected.differences(entry):
                if chosen and code == "OTHER_INSTALLATION":
                    continue
                yield Finding(target, entry.name, line, code, text, _how_to_mend(target, entry, code))
            continue
        fixed = fixed_port(entry, kinds)
        if fixed is not None:
            yield Finding(target, entry.name, line, "FIXED_PORT", fixed, _how_to_replace(target, entry))


def fixed_port(entry: ExistingEntry, kinds: Collection[KnownKind]) -> str | None:
    """Return why an entry of others fails when a server of ours moves. Returns None if it does not."""
    for text in (entry.url or "", *entry.command):
        found = _URL.search(text)
        kind = None if found is None else _kind_of_url(int(found[1]), found[2] or "", kinds)
        if found is not None and kind is not None:
            return f"it points at port {found[1]}, one of {kind.name}; the server may move to another port, or end"
    for kind in kinds:
        if any(_names(word, kind) for word in entry.command):
            port = _option_port(entry.command)
            at = "" if port is None else f" at port {port}"
            return f"it starts or reaches {kind.name}{at} by itself, past the daemon"
    return None


def _kind_of_url(port: int, path: str, kinds: Collection[KnownKind]) -> KnownKind | None:
    return next(
        (
            kind
            for kind in kinds
            if any(port in ports for ports in kind.ports) and path.rstrip("/") == kind.path.rstrip("/")
        ),
        None,
    )


def _names(word: str, kind: KnownKind) -> bool:
    """Return whether a word of a command line names the package or a program of a kind: `godot-ai==4.3.1`."""
    name = re.split(r"[=<>~!@\[]", PureWindowsPath(word).name.removesuffix(".exe"), maxsplit=1)[0]
    return name.lower().replace("_", "-") in kind.words


def _option_port(command: Sequence[str]) -> str | None:
    for place, word in enumerate(command):
        found = _PORT_OPTION.fullmatch(word)
        if found is not None:
            following = command[place + 1] if place + 1 < len(command) else ""
            return found[1] or (following if following.isdecimal() else None)
    return None


def _option(arguments: Sequence[str], name: str) -> str | None:
    place = arguments.index(name) if name in arguments else len(arguments)
    return arguments[place + 1] if place + 1 < len(arguments) else None


def _is_same_home(one: str | None, other: str | None) -> bool:
    if one is None or other is None:
        return one is other
    return os.path.realpath(one) == os.path.realpath(other)


def _command(action: str, target: Target, *words: str) -> str:
    """Return a command of `clients` for this place, as users type it."""
    scope = {USER: ["--user"], PROJECT: [], LOCAL: ["--local"]}[target.scope]
    project = [] if target.project is None else ["--project", str(target.project)]
    return shell_line([PROGRAM, "clients", action, target.client.name, *scope, *project, *words])


def _how_to_mend(target: Target, entry: ExistingEntry, code: str) -> str:
    if code == "DISABLED":
        return f"switch it on in {target.client.title}"
    if code in {"KIND_UNKNOWN", "PROJECT_MISSING"} or not is_name(entry.name):
        return _command("remove", target, "--name", entry.name)
    kind = next((word for word in (entry.arguments or ())[:1] if not word.startswith("-")), None)
    return _command("install", target, "--name", entry.name, *([] if kind is None else ["--kind", kind]))


def _how_to_replace(target: Target, entry: ExistingEntry) -> str:
    return f"remove {entry.name}, then: {_command('install', target)}"
