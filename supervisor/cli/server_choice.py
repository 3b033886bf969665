"""Which servers a word means: an id, a kind, a project, or without a word the current folder's."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import click

from ..client.client import Client
from ..errors import InvalidParams, NotFound, SupervisorError
from . import exit_codes, output, remote
from .deadline import Deadline

T = TypeVar("T")
Row = Mapping[str, Any]

OVER = frozenset({"stopped", "failed"})
OURS = frozenset({"spawned", "adopted"})


def about(
    client: Client, word: str, verb: str, deadline: Deadline, do: Callable[[str], T], *, ends: bool, past: bool = False
) -> T:
    """What `do` answers for the server that the word means. An id is tried as it is; the daemon knows them all.

    `ends`: the verb ends a server, so that one that was only found has to be named by its id. `past`: also one that
    has ended.

    Raises:
        NotFound: the word means none.
        InvalidParams: it means several.
    """
    try:
        return do(word)
    except SupervisorError as problem:
        if problem.code != NotFound.code:
            raise
        other = meant(client, word, verb, deadline, ends=ends, past=past)
        if other is None:
            raise
    return do(other)


def meant(client: Client, word: str, verb: str, deadline: Deadline, *, ends: bool, past: bool = False) -> str | None:
    """The id of the server of that kind or project; None: there is none.

    Raises:
        InvalidParams: there are several, and the current folder does not tell which.
    """
    rows = client.call("server.list", accept_timeout_s=deadline.or_else(remote.READ_TIMEOUT_S))["servers"]
    found = among([row for row in rows if not ends or is_ours(row)], word)
    if past and not found:
        found = among(remote.history(client, None, deadline), word)
    return None if not found else only(found, f"{word!r} means several servers", verb)


def among(rows: Iterable[Row], word: str) -> list[Row]:
    """The rows that a word can mean, by id first, then by kind, then by project: its folder, or the folder's name."""
    known = list(rows)
    folder = os.path.realpath(word) if os.sep in word or word == os.curdir else None
    tests: tuple[Callable[[Row], bool], ...] = (
        lambda row: bool(row["id"] == word),
        lambda row: bool(row["kind"] == word),
        lambda row: row["project"] is not None and (row["project"] == folder or _folder_name(row["project"]) == word),
    )
    return next((found for test in tests if (found := [row for row in known if test(row)])), [])


def only(rows: Sequence[Row], problem: str, verb: str) -> str:
    """The id of the one row that is meant: of several, those that run, and then that of the current folder's project.

    Raises:
        InvalidParams: that leaves several.
    """
    left: Sequence[Row] = rows
    for narrower in (_running, _here):
        if len(left) > 1:
            left = narrower(left) or left
    if len(left) > 1:
        known = ", ".join(sorted(str(row["id"]) for row in left))
        raise InvalidParams("ID", f"{problem}: {known}", hint=f"godot-supervisor {verb} {left[0]['id']}")
    return str(left[0]["id"])


def each(
    client: Client,
    words: Sequence[str],
    verb: str,
    deadline: Deadline,
    do: Callable[[str], Row],
    *,
    every: bool,
    as_json: bool,
    say: Callable[[Row], str],
    notes: Callable[[Row], Iterable[str]] = lambda row: (),  # noqa: ARG005 (there are none)
) -> int:
    """Do it for each server that is meant; the exit code. One that fails keeps no other from its turn.

    Raises:
        SupervisorError: only one was meant, and it failed.
    """
    if every and words:
        raise click.UsageError("--all means every server: name none beside it")
    if every:
        words = [row["id"] for row in client.call("server.list")["servers"] if is_ours(row)]
        if not words:
            raise NotFound("no server is known that was started or adopted here", hint="godot-supervisor status")
    meant_words = list(dict.fromkeys(words)) or [ours_named(client, None, verb, deadline)]
    done: list[Row] = []
    failed: list[SupervisorError] = []
    for word in meant_words:
        try:
            row = about(client, word, verb, deadline, do, ends=True)
        except SupervisorError as problem:
            if len(meant_words) == 1:
                raise
            failed.append(problem)
            output.error(problem, as_json=as_json)
            continue
        done.append(row)
        if not as_json:
            output.line(say(row))
            for text in notes(row):
                output.note(text)
    if as_json:
        output.document(done[0] if len(meant_words) == 1 else {"servers": done})
    return exit_codes.exit_code(failed[0].code) if failed else exit_codes.DONE


def _running(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.get("state") not in OVER]


def _here(rows: Sequence[Row]) -> list[Row]:
    """Those of the project that the current folder is in."""
    try:
        here = os.path.realpath(os.getcwd())  # noqa: PTH109 (pathlib has no more to give here)
    except OSError:
        return []
    return [row for row in rows if row["project"] is not None and _holds(row["project"], here)]


def _holds(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _folder_name(folder: str) -> str:
    return os.path.split(folder.rstrip(os.sep))[1]


def is_ours(row: Mapping[str, Any]) -> bool:
    """Whether a user of this daemon wanted it, or a bridge of a client of that user has started it."""
    return row["origin"] in OURS or bool(row.get("by_client"))


def named(client: Client, server: str | None, verb: str, deadline: Deadline) -> str:
    """The id of the server that the user means: the one that was named, else the only one that there is."""
    if server is not None:
        return server
    return only_server(
        client.call("server.list", accept_timeout_s=deadline.or_else(remote.READ_TIMEOUT_S))["servers"], verb
    )


def ours_named(client: Client, server: str | None, verb: str, deadline: Deadline) -> str:
    """As `named`, for verbs that end a server: one that was merely found is meant by nobody who does not name it."""
    if server is not None:
        return server
    servers = client.call("server.list", accept_timeout_s=deadline.or_else(remote.READ_TIMEOUT_S))["servers"]
    found = [row["id"] for row in servers if not is_ours(row)]
    if found and len(found) == len(servers):
        raise InvalidParams(
            "ID",
            f"what runs was started by others, so {verb} has to be told which one: {', '.join(sorted(found))}",
            hint=f"godot-supervisor {verb} {found[0]}",
        )
    return only_server([row for row in servers if is_ours(row)], verb)


def only_server(servers: Sequence[Mapping[str, Any]], verb: str) -> str:
    """The id of the one server that `verb` can mean when the user named none. Those that run come first.

    Raises:
        NotFound: there is none.
        InvalidParams: there are several.
    """
    ours = [row for row in servers if row["origin"] != "external" or row.get("by_client")]
    running = [row["id"] for row in ours if row["state"] not in OVER]
    meant = running or [row["id"] for row in ours]
    if not meant:
        raise NotFound("no server is running", hint="godot-supervisor status")
    if len(meant) > 1:
        what = "are running" if running else "are known"
        return only([row for row in ours if row["id"] in meant], f"several servers {what}", verb)
    return str(meant[0])
