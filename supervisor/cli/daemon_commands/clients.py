"""The commands `clients list`, `install`, `remove` and `check`."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ...errors import LauncherNotStable, SupervisorError
from ...mcp.ai_clients import changes
from ...mcp.ai_clients.backups import Backups
from ...mcp.ai_clients.changes import Editor, FileEdit
from ...mcp.ai_clients.checking import Expected, Finding
from ...mcp.ai_clients.checking import check as check_target
from ...mcp.ai_clients.entry import ExistingEntry, bridge_entry, entry_name
from ...mcp.ai_clients.launcher import find_launcher
from ...mcp.ai_clients.places import Places
from ...mcp.ai_clients.presence import found_by
from ...mcp.ai_clients.table import CLIENTS, AiClient
from ...mcp.ai_clients.target import Target, all_targets, local_targets
from ...native.facts import Folders, folders
from .. import exit_codes, options, output
from ..context import bridge, known_kinds
from ..context.projects import project_here, utf8_path
from ..deadline import Deadline
from ..text import client_changes
from . import client_choice


@click.group
def clients() -> None:
    """Add the MCP bridge to AI clients, remove it, and check it.

    CLIENT is claude, codex, gemini, cursor, vscode, windsurf, opencode, copilot or qwen. Without CLIENT a command acts
    on every client that is found on this machine.
    """


@clients.command("list")
@client_choice.clients
@client_choice.project
@options.as_json
def list_clients(*, names: tuple[str, ...], project: Path | None, as_json: bool) -> None:
    """Show the AI clients on this machine, and their entries.

    Entries of the project in the current folder, or of DIR, are shown too.
    """
    places = Places(os.environ)
    rows = [_row(CLIENTS[name], places, project or project_here()) for name in names or CLIENTS]
    if as_json:
        output.document({"clients": rows})
    else:
        for text in client_changes.overview(rows):
            output.line(text)


@clients.command
@client_choice.clients
@client_choice.project
@client_choice.user
@client_choice.local
@client_choice.kind
@client_choice.new_name
@click.option("--command", "launcher", metavar="PATH", help="The program to start, instead of the one that is found.")
@click.option("--no-provision", is_flag=True, help="Do not install the server, and do not start it once.")
@client_choice.dry_run
@options.as_json
@options.timeout
def install(
    *,
    names: tuple[str, ...],
    project: Path | None,
    user: bool,
    local: bool,
    kind: str | None,
    name: str | None,
    launcher: str | None,
    no_provision: bool,
    dry_run: bool,
    as_json: bool,
    deadline: Deadline,
) -> int:
    """Add the MCP bridge to AI clients.

    Shows a diff of each file, and keeps a backup. Then installs the server and starts it once, so that the first start
    of a client is quick. Exit code 1: not every client got its entry.
    """
    where, scope = folders(), client_choice.chosen_scope(project, user=user, local=local)
    if kind is not None:
        known_kinds.check(kind, where)
    expected = _expected(where, find_launcher(os.environ, launcher))
    variables = {name: utf8_path(value) for name, value in bridge.bridge_variables(where).items()}
    entry = bridge_entry(
        tuple(utf8_path(word) for word in expected.launcher), kind, variables, chosen=launcher is not None
    )
    wanted_name = entry_name(kind, name)
    editor = Editor(Backups(where.home), dry_run=dry_run)

    def is_current(found: ExistingEntry) -> bool:
        return found.arguments == entry.command[len(expected.launcher) + 1 :] and not [
            code for code, _ in expected.differences(found) if code not in {"DISABLED", "PROJECT_MISSING"}
        ]

    done = client_choice.for_each_client(
        names, scope, project, lambda target: editor.install(target, wanted_name, entry, is_current=is_current)
    )
    provisioned = None
    succeeded = any(change.outcome != changes.FAILED for change in done)
    if not as_json:
        _print(done, dry_run=dry_run)
        if not dry_run and any(change.outcome in {changes.ADDED, changes.UPDATED} for change in done):
            output.line("a client that is running reads its file when it starts again")
    if succeeded and not dry_run and not no_provision:
        from . import provision

        provisioned = provision.provision(kind, project, where, deadline, as_json=as_json)
    if as_json:
        output.document({"changes": [change.document() for change in done], "provisioned": provisioned})
    return _exit_code(done)


@clients.command
@client_choice.clients
@client_choice.project
@client_choice.user
@client_choice.local
@client_choice.kind
@client_choice.name
@client_choice.dry_run
@options.as_json
def remove(
    *,
    names: tuple[str, ...],
    project: Path | None,
    user: bool,
    local: bool,
    kind: str | None,
    name: str | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Remove the MCP bridge from AI clients.

    Removes what `install` has added, and nothing else.
    """
    scope, wanted_name = client_choice.chosen_scope(project, user=user, local=local), entry_name(kind, name)
    editor = Editor(Backups(folders().home), dry_run=dry_run)
    done = client_choice.for_each_client(
        names, scope, project, lambda target: editor.remove(target, wanted_name), every_file=True, without_files=True
    )
    if as_json:
        output.document({"changes": [change.document() for change in done]})
    else:
        _print(done, dry_run=dry_run)
    return _exit_code(done)


@clients.command
@client_choice.clients
@client_choice.project
@client_choice.user
@options.as_json
def check(*, names: tuple[str, ...], project: Path | None, user: bool, as_json: bool) -> int:
    """Find entries that are out of date, or that point at fixed ports.

    Without --project and --user, entries for any one project in a user's file are checked too.
    Exit code 1: something was found.
    """
    where, places = folders(), Places(os.environ)
    kinds = known_kinds.read(where)
    expected = _expected(where, _launcher_or_none())
    here = None if user else project or project_here()
    backups = Backups(where.home)
    findings: list[Finding] = []
    entries = 0
    for client in (CLIENTS[name] for name in names or CLIENTS):
        found = list(all_targets(client, places, here))
        if project is None and not user:
            known = {(target.file, target.table) for target in found}
            found += [each for each in local_targets(client, places) if (each.file, each.table) not in known]
        for target in found:
            findings += check_target(target, expected, kinds, backups)
            entries += _number_of_ours(target)
    if as_json:
        output.document({"findings": [finding.document() for finding in findings], "entries": entries})
    else:
        for text in client_changes.findings(findings, entries):
            output.line(text)
    return exit_codes.FAILED if findings else exit_codes.DONE


# --- what the commands share ---


def _expected(where: Folders, launcher: tuple[str, ...]) -> Expected:
    home = where.home_text if where.moved else None
    return Expected(launcher, home, known_kinds.names(where), os.environ)


def _launcher_or_none() -> tuple[str, ...]:
    """Return the launcher. Returns no words if this installation has none that stays."""
    try:
        return find_launcher(os.environ)
    except LauncherNotStable:
        return ()


def _row(client: AiClient, places: Places, project: Path | None) -> dict[str, Any]:
    entries: list[dict[str, Any]] = []
    for target in all_targets(client, places, project):
        place = {"scope": target.scope, "file": str(target.file)}
        try:
            found = target.entries(target.read())
        except SupervisorError as problem:
            entries.append({**place, "line": problem.data.get("line"), "entry": None, "error": problem.message})
            continue
        entries += [
            {**place, "line": line, "entry": entry.name, "error": None} for entry, line in found if entry.is_ours
        ]
    found_at = found_by(client, places, os.environ)
    return {"client": client.name, "title": client.title, "found": found_at, "entries": entries}


def _number_of_ours(target: Target) -> int:
    try:
        return sum(entry.is_ours for entry, _ in target.entries(target.read()))
    except SupervisorError:
        return 0


def _print(done: Sequence[FileEdit], *, dry_run: bool) -> None:
    for change in done:
        if change.problem is not None:
            output.note(f"{change.target.client.title}:")
            output.error(change.problem, as_json=False)
            continue
        for text in client_changes.lines(change, dry_run=dry_run):
            output.line(text)


def _exit_code(done: Sequence[FileEdit]) -> int:
    """Return the exit code: that of the only sort of failure, or FAILED for several sorts."""
    codes = {exit_codes.exit_code(change.problem.code) for change in done if change.problem is not None}
    return exit_codes.DONE if not codes else codes.pop() if len(codes) == 1 else exit_codes.FAILED
