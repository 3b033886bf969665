"""The owner of a foreign server, as the environment of its process and the kernel tell."""

from dataclasses import replace

from ...core.model import Editor, Ownership, ProcessIdentity
from ...core.processes.godot import is_editor
from ...core.processes.owners import LivingOwner, OwnerCandidate, OwnerSeen, UnknownOwner, is_pid, judge_owner
from ...core.processes.trees import ancestors
from ...kinds.kind import Kind
from ...native.api import variable_if_told
from ..state.context import TOKEN_VARIABLE, EngineContext
from ..state.names import name_of, new_editor_id

HIDDEN = "its environment cannot be read"
"""Why the owner of a server is unknown, for people."""

WHERE_RECORDS_LIE = ("HOME", "USERPROFILE", "LOCALAPPDATA", "XDG_CONFIG_HOME")

WSL_VARIABLE = "WSLENV"
"""Lists the variables that Windows and WSL share: names with flags behind a slash, separated by colons."""


def owner_of(context: EngineContext, kind: Kind, process: ProcessIdentity) -> OwnerSeen:
    """Return the owner that a server was started for. Blocks, because it reads the environment of the server."""
    variable = next((name for name, value in kind.env.items() if value == "{owner_pid}"), None)
    try:
        text = context.platform.processes.variable(process, variable) if variable else None
    except OSError:
        return UnknownOwner(HIDDEN)
    if text is None:
        return judge_owner(None)
    if variable in _handed_over_by_windows(context, process):
        return UnknownOwner(f"its owner {text} may be a pid of Windows")
    probe = context.platform.probe
    process_now, readable, other = None, True, None
    try:
        process_now = probe.identify(int(text)) if is_pid(text) else None
        other = (probe.why_no_process(int(text)) or _server_behind(context, process_now)) if process_now else None
    except OSError:
        readable = False
    owner = judge_owner(
        OwnerCandidate(
            text,
            probe.same_namespace(process),
            process_now,
            readable,
            probe.creation_order(process_now) if process_now else None,
            probe.creation_order(process),
        )
    )
    nearest = _editor_above(context, process)
    if nearest is not None and nearest != process_now and not isinstance(owner, UnknownOwner):
        # The variable was inherited: a program that had it in its environment has started that editor.
        return UnknownOwner(f"it names pid {int(text)}, and runs below the editor pid {nearest.pid}")
    if isinstance(owner, LivingOwner) and other is not None:
        # The pid names a process that is no editor. It is older than the server, so the server was handed its pid, and
        # the end of that process proves nothing.
        return UnknownOwner(other)
    return replace(owner, name=name_of(probe.describe(owner.process.pid))) if isinstance(owner, LivingOwner) else owner


def _handed_over_by_windows(context: EngineContext, process: ProcessIdentity) -> set[str]:
    """Return the variables that a Windows program has passed on into WSL: a pid in them is a pid of Windows."""
    listed = variable_if_told(context.platform.processes, process, WSL_VARIABLE) or ""
    return {entry.partition("/")[0] for entry in listed.split(":")}


def _server_behind(context: EngineContext, process: ProcessIdentity) -> str | None:
    """Return why a process is no owner: it is a server, and its pid was reused. None if it is no known server."""
    servers = context.records.find_by_process(process)
    return f"{process.pid} is the server {servers[0].id}" if servers else None


def _editor_above(context: EngineContext, process: ProcessIdentity) -> ProcessIdentity | None:
    """Return the nearest editor that a process descends from, attached or by its command line. Blocks."""
    known = {editor.process for editor in list(context.records.editors.values())}
    describe = context.platform.probe.describe
    above = ancestors(context.platform.processes.table(), process)
    return next((each for each in above if each in known or is_editor(describe(each.pid).command)), None)


def ownership_of(context: EngineContext, owner: OwnerSeen) -> Ownership | None:
    """Return the owner as an editor in the records, None if no owner lives. Adds an editor that was unknown."""
    if not isinstance(owner, LivingOwner):
        return None
    records = context.records
    known = next((editor for editor in records.editors.values() if editor.process == owner.process), None)
    if known is None:
        started_at = context.platform.probe.started_at(owner.process)
        known = records.put_editor(
            Editor(new_editor_id(records, None), owner.process, None, started_at=started_at, name=owner.name)
        )
    return Ownership(known.id, known.process)


def home_of(context: EngineContext, process: ProcessIdentity) -> tuple[str | None, str | None]:
    """Return the launch token that a process carries, and the home in the token; None twice without a token. Blocks.

    Raises:
        OSError: the system does not give the environment.
    """
    token = context.platform.processes.variable(process, TOKEN_VARIABLE)
    return token, token.partition(".")[0] if token is not None else None


def environment_of(context: EngineContext, kind: Kind, process: ProcessIdentity) -> dict[str, str]:
    """Return those environment variables of a process that say where a server keeps its secrets. Blocks."""
    names = [*WHERE_RECORDS_LIE, *([kind.record_dir_variable] if kind.record_dir_variable else [])]
    values = {name: variable_if_told(context.platform.processes, process, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}
