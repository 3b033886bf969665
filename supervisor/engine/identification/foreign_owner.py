"""Finds the owner of a foreign server, from the environment variables of its process and from the kernel."""

from dataclasses import replace

from ...core.model import Editor, Ownership, ProcessIdentity
from ...core.processes.godot import is_editor
from ...core.processes.owners import ForeignOwner, LivingOwner, OwnerCandidate, UnknownOwner, is_pid, judge_owner
from ...core.processes.trees import ancestors, topmost_launcher
from ...kinds.kind import Kind
from ...native.api import variable_if_told
from ..state.context import TOKEN_VARIABLE, EngineContext
from ..state.names import name_of, new_editor_id

ENVIRONMENT_UNREADABLE = "its environment cannot be read"
"""Why the owner of a server is unknown, for people."""

VARIABLES_OF_SECRETS = ("HOME", "USERPROFILE", "LOCALAPPDATA", "XDG_CONFIG_HOME")
"""The variables that say in which folder a server keeps its record of secrets, beside one that its kind may name."""

WSL_VARIABLE = "WSLENV"
"""Lists the variables that Windows and WSL share: names with flags behind a slash, separated by colons."""


def owner_of(context: EngineContext, kind: Kind, process: ProcessIdentity) -> ForeignOwner:
    """Return the owner that a foreign server was started for. Blocks.

    A recipe may hand the pid of the owner to its server in a variable; the environment of the server still has it. If
    the environment has no such variable, a server that an attached editor has started as its child is that editor's.
    """
    variable = next((name for name, value in kind.env.items() if value == "{owner_pid}"), None)
    try:
        text = context.platform.processes.variable(process, variable) if variable else None
    except OSError:
        return UnknownOwner(ENVIRONMENT_UNREADABLE)
    if text is None:
        starter = _attached_editor_that_started(context, process)
        return judge_owner(None) if starter is None else LivingOwner(starter.process, starter.name)
    if variable in _handed_over_by_windows(context, process):
        return UnknownOwner(f"its owner {text} may be a pid of Windows")
    probe = context.platform.probe
    process_now, readable, why_no_owner = None, True, None
    try:
        process_now = probe.identify(int(text)) if is_pid(text) else None
        if process_now is not None:
            why_no_owner = probe.why_no_process(int(text)) or _why_server(context, process_now)
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
    if isinstance(owner, LivingOwner) and why_no_owner is not None:
        # The pid names a process that is no editor. It is older than the server, so the server was handed its pid, and
        # the end of that process proves nothing.
        return UnknownOwner(why_no_owner)
    return replace(owner, name=name_of(probe.describe(owner.process.pid))) if isinstance(owner, LivingOwner) else owner


def _handed_over_by_windows(context: EngineContext, process: ProcessIdentity) -> set[str]:
    """Return the variables that a Windows program has passed on into WSL. A pid in one of them is a pid of Windows."""
    listed = variable_if_told(context.platform.processes, process, WSL_VARIABLE) or ""
    return {entry.partition("/")[0] for entry in listed.split(":")}


def _why_server(context: EngineContext, process: ProcessIdentity) -> str | None:
    """Return why a process is no owner: its pid was reused by a known server. None if it is no known server."""
    servers = context.records.find_by_process(process)
    return f"{process.pid} is the server {servers[0].id}" if servers else None


def _editor_above(context: EngineContext, process: ProcessIdentity) -> ProcessIdentity | None:
    """Return the nearest ancestor of a process that is an editor: attached, or one by its command line. Blocks."""
    known = {editor.process for editor in list(context.records.editors.values())}
    describe = context.platform.probe.describe
    above = ancestors(context.platform.processes.table(), process)
    return next((each for each in above if each in known or is_editor(describe(each.pid).command)), None)


def _attached_editor_that_started(context: EngineContext, process: ProcessIdentity) -> Editor | None:
    """Return the attached editor that has started a server, itself or by a launcher. None if no editor has. Blocks.

    A server that runs further below an editor is none of its own: a person may have started it, in a terminal there.
    """
    attached = {editor.process: editor for editor in list(context.records.editors.values()) if editor.engine}
    table = context.platform.processes.table()
    above = ancestors(table, process)
    if attached.keys().isdisjoint(above):
        return None
    commands = {each: context.platform.probe.describe(each.pid).command for each in above}
    root = topmost_launcher(table, process, commands, attached)
    parents = ancestors(table, root)
    return attached.get(parents[0]) if parents else None


def record_owner(context: EngineContext, owner: ForeignOwner) -> Ownership | None:
    """Return the owner as an editor in the records, None if no owner lives. Add an editor that is not there yet."""
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


def token_and_home_of(context: EngineContext, process: ProcessIdentity) -> tuple[str | None, str | None]:
    """Return the launch token that a process carries, and the home id in it; None and None without a token. Blocks.

    Raises:
        OSError: the system does not give the environment.
    """
    token = context.platform.processes.variable(process, TOKEN_VARIABLE)
    return token, token.partition(".")[0] if token is not None else None


def variables_of_secrets(context: EngineContext, kind: Kind, process: ProcessIdentity) -> dict[str, str]:
    """Return those environment variables of a process that say where a server keeps its secrets. Blocks."""
    names = [*VARIABLES_OF_SECRETS, *([kind.record_dir_variable] if kind.record_dir_variable else [])]
    values = {name: variable_if_told(context.platform.processes, process, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}
