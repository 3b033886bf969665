"""Finds the server that a word on the command line means: an id, a kind or a project; or the only server."""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from ..client.client import Client
from ..client.json_object import JsonObject
from ..errors import InvalidParams, NotFound, SupervisorError
from . import remote
from .deadline import Deadline

T = TypeVar("T")

NOT_RUNNING = frozenset({"stopped", "failed"})
"""States of a server that does not run and is not about to."""

OWN_ORIGINS = frozenset({"spawned", "adopted"})
"""Origins of servers that were started or adopted here. Other servers were only found."""


def with_chosen(
    client: Client,
    word: str,
    command: str,
    deadline: Deadline,
    action: Callable[[str], T],
    *,
    ends_server: bool,
    also_ended: bool = False,
) -> T:
    """Call `action` with the id of the server that the word means, and return its answer.

    The word is tried as an id first, because the daemon knows every id.

    Args:
        client: a connection to the daemon.
        word: an id, a kind or a project.
        command: the command that the user typed, for hints.
        deadline: the limit of the whole command.
        action: called with an id; raises NotFound if there is no such server.
        ends_server: the command stops or restarts the server, so a server that was only found needs its id.
        also_ended: consider servers that have ended as well.

    Raises:
        NotFound: the word means no server.
        InvalidParams: the word means several servers.
    """
    try:
        return action(word)
    except SupervisorError as problem:
        if problem.code != NotFound.code:
            raise
        found = find_id(client, word, command, deadline, ends_server=ends_server, also_ended=also_ended)
        if found is None:
            raise
    return action(found)


def find_id(
    client: Client, word: str, command: str, deadline: Deadline, *, ends_server: bool, also_ended: bool = False
) -> str | None:
    """Return the id of the server of that kind or project. Returns None if there is none.

    Raises:
        InvalidParams: there are several, and the current folder does not tell which is meant.
    """
    rows = [row for row in remote.server_rows(client, deadline) if not ends_server or is_own(row)]
    found = matching(rows, word)
    if also_ended and not found:
        found = matching(remote.ended_servers(client, None, deadline), word)
    return narrowed_to_one(found, f"{word!r} means several servers", command) if found else None


def matching(rows: Iterable[JsonObject], word: str) -> list[JsonObject]:
    """Return the rows that a word can mean: by id, else by kind, else by project (its folder, or the folder's name)."""
    known = list(rows)
    folder = os.path.realpath(word) if os.sep in word or word == os.curdir else None
    meanings: tuple[Callable[[JsonObject], bool], ...] = (
        lambda row: bool(row["id"] == word),
        lambda row: bool(row["kind"] == word),
        lambda row: row["project"] is not None and (row["project"] == folder or _folder_name(row["project"]) == word),
    )
    return next((found for has_meaning in meanings if (found := [row for row in known if has_meaning(row)])), [])


def narrowed_to_one(rows: Sequence[JsonObject], problem: str, command: str) -> str:
    """Return the id of the only row that is meant: of several, those that run count, then those of the project here.

    `problem` begins the message, and `command` is for the hint, if several are left.

    Raises:
        InvalidParams: several are left.
    """
    left: Sequence[JsonObject] = rows
    for narrow in (_running, _of_the_current_folder):
        if len(left) > 1:
            left = narrow(left) or left
    if len(left) > 1:
        ids = ", ".join(sorted(str(row["id"]) for row in left))
        raise InvalidParams("ID", f"{problem}: {ids}", hint=f"godot-supervisor {command} {left[0]['id']}")
    return str(left[0]["id"])


def word_or_only_server(client: Client, server: str | None, command: str, deadline: Deadline) -> str:
    """Return the word that the user typed, else the id of the only server."""
    return server if server is not None else only_server(remote.server_rows(client, deadline), command)


def only_own_server(client: Client, command: str, deadline: Deadline) -> str:
    """Return the id of the only server, for commands that end one: never a server that was only found.

    Raises:
        NotFound: there is no server.
        InvalidParams: there are several, or the daemon only found those that run.
    """
    rows = remote.server_rows(client, deadline)
    found = sorted(str(row["id"]) for row in rows if not is_own(row))
    if found and len(found) == len(rows):
        raise InvalidParams(
            "ID",
            f"the running servers were started by other programs, so {command} needs an ID: {', '.join(found)}",
            hint=f"godot-supervisor {command} {found[0]}",
        )
    return only_server([row for row in rows if is_own(row)], command)


def only_server(rows: Sequence[JsonObject], command: str) -> str:
    """Return the id of the only server that a command without an ID can mean. Servers that run come first.

    Raises:
        NotFound: there is none.
        InvalidParams: there are several.
    """
    known = [row for row in rows if row["origin"] != "external" or row.get("by_client")]
    running = _running(known)
    candidates = running or known
    if not candidates:
        raise NotFound("no server is running", hint="godot-supervisor status")
    return narrowed_to_one(candidates, f"several servers are {'running' if running else 'known'}", command)


def is_own(row: JsonObject) -> bool:
    """Return whether a user started or adopted the server here, or a bridge of that user's AI client started it."""
    return row["origin"] in OWN_ORIGINS or bool(row.get("by_client"))


def _running(rows: Sequence[JsonObject]) -> list[JsonObject]:
    return [row for row in rows if row.get("state") not in NOT_RUNNING]


def _of_the_current_folder(rows: Sequence[JsonObject]) -> list[JsonObject]:
    """Return the rows of the project that contains the current folder."""
    try:
        here = os.path.realpath(os.getcwd())  # noqa: PTH109 (pathlib has no more to give here)
    except OSError:
        return []
    return [row for row in rows if row["project"] is not None and _contains(row["project"], here)]


def _contains(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _folder_name(folder: str) -> str:
    return os.path.split(folder.rstrip(os.sep))[1]
