"""Writes the addon into a project, removes it, and tells what is there. Blocking."""

import contextlib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from ..core.pep440 import parse
from ..core.processes.godot import PROJECT_FILE
from ..errors import ClientFileInvalid, InvalidParams, NotFound, NotOurs, VersionConflict
from ..mcp.ai_clients import client_file
from ..mcp.ai_clients.backups import Backups
from ..mcp.ai_clients.client_file import Content
from ..values import frozen
from . import addon_files, project_file
from .addon_files import FOLDER, MANIFEST, PLUGIN


class AddonState(StrEnum):
    """The addon in a project, compared with the one of this release."""

    MISSING = "missing"
    INCOMPLETE = "incomplete"
    CHANGED = "changed"
    OUTDATED = "outdated"
    NEWER = "newer"
    CURRENT = "current"


@frozen
class AddonReport:
    """The addon in a project. `changed`: the files that were changed by hand, and so are not replaced."""

    state: AddonState
    version: str | None
    available: str
    enabled: bool
    changed: tuple[str, ...] = ()


@frozen
class AddonResult:
    """The changes that a command has made: names of files of the addon, and backups of files that were replaced."""

    written: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    backups: tuple[Path, ...] = ()
    project_changed: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing had to be changed."""
        return not (self.written or self.removed or self.project_changed)


class Installation:
    """The addon in one project. `version` is the release of this program."""

    def __init__(self, project: Path, version: str, backups: Backups) -> None:
        self._project = project
        self._version = version
        self._backups = backups
        self._packaged = addon_files.packaged(version)

    def status(self) -> AddonReport:
        """Return what is there.

        Raises:
            InvalidParams: the folder is no project.
            ClientFileUnusable: a file cannot be read.
        """
        enabled = project_file.is_enabled(self._read_project().text or "", PLUGIN)
        manifest = addon_files.read_manifest(self._project)
        found = {name: text for name in self._names() if (text := self._text(name)) is not None}
        recorded = {} if manifest is None else manifest.digests
        changed = tuple(name for name, text in found.items() if self._is_changed(name, text, recorded))
        version = None if manifest is None else manifest.version
        return AddonReport(self._state(found, changed, version), version, self._version, enabled, changed)

    def install(self, *, force: bool = False) -> AddonResult:
        """Write the addon into the project, and enable it. Nothing is written if all is as it shall be.

        `force`: also in the place of files that were changed by hand, which are kept as backups.

        Raises:
            InvalidParams: the folder is no project for the addon.
            NotOurs: files of the addon were changed by hand.
            VersionConflict: a later release has written the addon.
            ClientFileUnusable, ClientFileChanged, ClientFileInvalid: a file cannot be read or replaced.
        """
        status = self.status()
        self._refuse_if_protected(status, force=force)
        project = self._read_project()
        self._refuse_if_unsuitable(project)
        enabled = self._edited(project, enable=True)
        client_file.check_replaceable(project)
        written, removed, backups = self._write_files(status)
        if enabled != project.text:
            backups += self._replace_project(project, enabled)
        return AddonResult(written, removed, backups, enabled != project.text)

    def update(self, *, force: bool = False) -> AddonResult:
        """Write this release of the addon over an earlier one. A plugin that is switched off stays so.

        Raises:
            NotFound: the project does not have the addon.
            InvalidParams, NotOurs, VersionConflict, ClientFileUnusable, ClientFileChanged: see `install`.
        """
        status = self.status()
        if status.state is AddonState.MISSING:
            raise NotFound(
                f"{self._project} does not have the addon", hint=f"godot-supervisor addon install '{self._project}'"
            )
        self._refuse_if_unsuitable(self._read_project())
        self._refuse_if_protected(status, force=force)
        return AddonResult(*self._write_files(status))

    def remove(self, *, force: bool = False) -> AddonResult:
        """Remove the addon from the project, and disable it there. Files that are not the addon's stay.

        `force`: also files that were changed by hand, which are kept as backups.

        Raises:
            InvalidParams, NotOurs, ClientFileUnusable, ClientFileChanged: see `install`.
        """
        status = self.status()
        if status.changed and not force:
            raise self._changed_by_hand(status)
        project = self._read_project()
        disabled = self._edited(project, enable=False)
        backups: tuple[Path, ...] = ()
        # First, because an editor complains of an enabled plugin that is missing.
        if disabled != project.text:
            client_file.check_replaceable(project)
            backups = self._replace_project(project, disabled)
        backups += self._save(status.changed)
        removed = [name for name in (*self._names(), MANIFEST) if self._remove_file(name)]
        if removed:
            for folder in (self._project / FOLDER, (self._project / FOLDER).parent):
                with contextlib.suppress(OSError):
                    folder.rmdir()
        return AddonResult((), tuple(removed), backups, disabled != project.text)

    # --- what is there ---

    def _read_project(self) -> Content:
        try:
            content = client_file.read(self._project / PROJECT_FILE, self._project, client_file.SHARED_MODE)
        except ClientFileInvalid as problem:
            raise InvalidParams("project", problem.message, hint=problem.hint) from problem
        if content.text is None:
            hint = f"give the folder that has the {PROJECT_FILE}"
            raise InvalidParams("project", f"{self._project} is no Godot project: it has no {PROJECT_FILE}", hint=hint)
        return content

    def _refuse_if_unsuitable(self, project: Content) -> None:
        reason = project_file.why_unsuitable(project.text or "")
        if reason is not None:
            raise InvalidParams("project", f"{self._project} cannot have the addon: {reason}")

    def _names(self) -> tuple[str, ...]:
        """Return the names of the addon's files, in this release and in the one that was installed."""
        manifest = addon_files.read_manifest(self._project)
        return tuple({**self._packaged, **({} if manifest is None else manifest.digests)})

    def _text(self, name: str) -> str | None:
        """Return the text of a file. Returns None if there is none."""
        return addon_files.read(self._project, name).text

    def _is_changed(self, name: str, text: str, recorded: Mapping[str, str]) -> bool:
        found = addon_files.digest(text)
        return found != recorded.get(name) and found != addon_files.digest(self._packaged.get(name, "\0"))

    def _state(self, found: Mapping[str, str], changed: tuple[str, ...], version: str | None) -> AddonState:
        if not found:
            return AddonState.MISSING
        if changed:
            return AddonState.CHANGED
        ours, theirs = parse(self._version), parse(version or "")
        if ours is not None and theirs is not None and theirs.order > ours.order:
            return AddonState.NEWER
        if found.keys() < self._packaged.keys() or version is None:
            return AddonState.INCOMPLETE
        is_same = {name: addon_files.digest(text) for name, text in found.items()} == {
            name: addon_files.digest(text) for name, text in self._packaged.items()
        }
        return AddonState.CURRENT if is_same and version == self._version else AddonState.OUTDATED

    def _refuse_if_protected(self, status: AddonReport, *, force: bool) -> None:
        if force:
            return
        if status.changed:
            raise self._changed_by_hand(status)
        if status.state is AddonState.NEWER:
            raise VersionConflict(
                f"the addon in {self._project} is {status.version}, and this program is {self._version}",
                hint="upgrade godot-supervisor, or use --force",
            )

    def _changed_by_hand(self, status: AddonReport) -> NotOurs:
        files = ", ".join(status.changed)
        return NotOurs(
            f"files of the addon in {self._project} were changed by hand: {files}",
            hint="--force replaces them, and keeps backups",
            data={"files": [*status.changed]},
        )

    # --- changes ---

    def _edited(self, project: Content, *, enable: bool) -> str:
        edit = project_file.enable if enable else project_file.disable
        try:
            return edit(project.text or "", PLUGIN)
        except project_file.UneditableError as problem:
            raise ClientFileInvalid(
                f"{project.path}: {problem}",
                hint="enable the plugin in the editor: Project > Project Settings > Plugins",
                data={"file": str(project.path)},
            ) from problem

    def _write_files(self, status: AddonReport) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Path, ...]]:
        """Write the files that differ, and remove those that this release does not have; the manifest last."""
        texts = {**self._packaged, MANIFEST: addon_files.encode_manifest(self._version, self._packaged)}
        contents = {name: addon_files.read(self._project, name) for name in texts}
        contents = {name: found for name, found in contents.items() if _differs(found.text, texts[name])}
        for content in contents.values():
            client_file.check_replaceable(content)
        surplus = [name for name in self._names() if name not in self._packaged]
        backups = self._save(status.changed)
        for name, content in contents.items():
            client_file.replace(content, texts[name])
        removed = tuple(name for name in surplus if self._remove_file(name))
        return tuple(contents), removed, backups

    def _remove_file(self, name: str) -> bool:
        """Remove a file of the addon, and the one that Godot writes beside a script. Returns whether it was there."""
        content = addon_files.read(self._project, name)
        if content.text is not None:
            client_file.remove(content, ())
        with contextlib.suppress(OSError):
            (self._project / FOLDER / f"{name}.uid").unlink()
        return content.text is not None

    def _replace_project(self, project: Content, text: str) -> tuple[Path, ...]:
        backup = self._backups.save("godot-project", project)
        client_file.replace(project, text)
        return () if backup is None else (backup,)

    def _save(self, names: tuple[str, ...]) -> tuple[Path, ...]:
        saved = [self._backups.save("godot-addon", addon_files.read(self._project, name)) for name in names]
        return tuple(path for path in saved if path is not None)


def _differs(found: str | None, text: str) -> bool:
    return found is None or addon_files.digest(found) != addon_files.digest(text)
