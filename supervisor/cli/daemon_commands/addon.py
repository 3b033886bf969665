"""The commands `addon install`, `update`, `remove` and `status`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from ...client import start_file
from ...daemon.version import installed
from ...errors import InvalidParams
from ...godot_addon.addon_files import FOLDER
from ...godot_addon.installation import AddonReport, AddonResult, AddonState, Installation
from ...godot_addon.open_editors import editors_of
from ...mcp.ai_clients.backups import Backups
from ...native.facts import folders
from ...native.platforms import open_platform
from .. import options, output
from ..context.projects import PROJECT_FILE, Folder, project_here
from ..formatting import printable, tilde

PLUGIN_NAME = "Godot Supervisor"
SWITCH = "Project > Project Settings > Plugins"

_project = click.argument(
    "project", metavar="[PROJECT]", required=False, type=Folder(exists=True, file_okay=False, path_type=Path)
)
_force = click.option("--force", is_flag=True, help="Also replace files that were changed by hand; keeps backups.")

_STATES = {
    AddonState.MISSING: "not installed",
    AddonState.INCOMPLETE: "incomplete; `addon install` completes it",
    AddonState.CHANGED: "changed by hand",
    AddonState.OUTDATED: "not of this release; `addon update` replaces it",
    AddonState.NEWER: "of a later release than this program",
    AddonState.CURRENT: "up to date",
}


@click.group
def addon() -> None:
    """Put the Godot addon into a project, and remove it.

    The addon tells the daemon about the editor, and has a client of the daemon for other plugins. PROJECT is the folder
    of a Godot project (4.3 or later). Default: the current folder.
    """


@addon.command
@_project
@_force
@options.as_json
def install(*, project: Path | None, force: bool, as_json: bool) -> None:
    """Write the addon into a project, and enable it there.

    Nothing else in the project changes. A backup of project.godot is kept.
    """
    _change(project, lambda found: found.install(force=force), as_json=as_json)
    start_file.introduce(folders(), installed())


@addon.command
@_project
@_force
@options.as_json
def update(*, project: Path | None, force: bool, as_json: bool) -> None:
    """Replace the addon in a project by that of this release."""
    _change(project, lambda found: found.update(force=force), as_json=as_json)
    start_file.introduce(folders(), installed())


@addon.command
@_project
@_force
@options.as_json
def remove(*, project: Path | None, force: bool, as_json: bool) -> None:
    """Disable the addon in a project, and remove its files."""
    _change(project, lambda found: found.remove(force=force), as_json=as_json)


@addon.command
@_project
@options.as_json
def status(*, project: Path | None, as_json: bool) -> None:
    """Show whether a project has the addon, and which release."""
    folder = _folder(project)
    found, editors = _installation(folder).status(), editors_of(folder, open_platform())
    if as_json:
        output.document(_document(folder, found, editors))
        return
    version = "" if found.version is None else f"{found.version}, "
    output.line(f"project  {tilde(str(folder))}")
    output.line(f"addon    {printable(version)}{_STATES[found.state]}")
    for name in found.changed:
        output.line(f"         {printable(name)} was changed")
    output.line(f"plugin   {'enabled' if found.enabled else 'not enabled'}")
    for pid in editors:
        output.line(f"editor   pid {pid} has the project open")


def _change(project: Path | None, act: Callable[[Installation], AddonResult], *, as_json: bool) -> None:
    folder = _folder(project)
    installation = _installation(folder)
    change = act(installation)
    found, editors = installation.status(), editors_of(folder, open_platform())
    notes = [*_notes(change, found, editors)]
    if as_json:
        changed = {
            "written": [*change.written],
            "removed": [*change.removed],
            "backups": [str(path) for path in change.backups],
            "project_changed": change.project_changed,
            "notes": notes,
        }
        output.document({**_document(folder, found, editors), **changed})
        return
    for text in (*_outcome(folder, change, found), *notes):
        output.line(text)


def _outcome(folder: Path, change: AddonResult, found: AddonReport) -> Iterator[str]:
    where = tilde(str(folder / FOLDER))
    if change.is_empty:
        missing = found.state is AddonState.MISSING
        yield (
            f"nothing to do: {tilde(str(folder))} does not have the addon"
            if missing
            else (f"nothing to do: {where} is version {found.version}")
        )
        return
    if change.written:
        yield f"version {found.version} written to {where}"
    elif change.removed:
        yield f"removed from {where}"
    if change.project_changed:
        yield f"plugin {'enabled' if found.enabled else 'disabled'} in {tilde(str(folder / PROJECT_FILE))}"
    for path in change.backups:
        yield f"  backup: {tilde(str(path))}"


def _notes(change: AddonResult, found: AddonReport, editors: tuple[int, ...]) -> Iterator[str]:
    """Yield what the user has to do in editors that have the project open: they do not notice changes from outside."""
    if found.state is not AddonState.MISSING and not found.enabled:
        yield f"the plugin is not enabled: godot-supervisor addon install, or {SWITCH} in the editor"
    if not editors or change.is_empty:
        return
    pids = ", ".join(map(str, editors))
    if change.project_changed:
        act = "on" if found.enabled else "off"
        yield (
            f"an editor has this project open (pid {pids}), and undoes the change of {PROJECT_FILE} when it saves its "
            f"settings. Switch {PLUGIN_NAME} {act} there: {SWITCH}. Or close the editor, and run this command again."
        )
    else:
        yield f"an editor has this project open (pid {pids}): Project > Reload Current Project loads the new files"


def _document(folder: Path, found: AddonReport, editors: tuple[int, ...]) -> dict[str, Any]:
    return {
        "project": str(folder),
        "state": found.state.value,
        "version": found.version,
        "available": found.available,
        "enabled": found.enabled,
        "changed": [*found.changed],
        "editors": [*editors],
    }


def _folder(project: Path | None) -> Path:
    folder = project or project_here()
    if folder is None:
        raise InvalidParams(
            "PROJECT", f"the current folder has no {PROJECT_FILE}", hint="name the folder of a Godot project"
        )
    return folder


def _installation(folder: Path) -> Installation:
    return Installation(folder, installed(), Backups(folders().home))
