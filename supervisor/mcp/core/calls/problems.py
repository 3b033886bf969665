"""Why a call or a reading cannot be sent: its editor is not there, or not known."""

from ..events_and_actions import Problem
from ..servers import EditorSession

Sessions = tuple[EditorSession, ...]

UNREADABLE = Problem(
    "SESSIONS_UNREADABLE",
    "the server's list of its editors cannot be read, so it is not known which editor the call is for",
    "See kinds.NAME.pin in config.toml.",
    fault="server",
)


def editor_closed(project: str | None, sessions: Sessions, *, has_new_session: bool = False) -> Problem:
    """Return the problem of a call whose project no editor has open.

    `has_new_session`: an editor has it open, but the session that the call was sent to has ended.
    """
    projects = _projects(sessions)
    data = {"project": project, "open_projects": projects}
    if has_new_session:
        text = f"the editor of the project {project} has begun a new session since the last call"
        return Problem("EDITOR_CLOSED", text, "Call again.", retryable=True, data=data)
    others = f"open are: {', '.join(projects)}" if projects else "no project is open"
    return Problem(
        "EDITOR_CLOSED",
        f"no editor that is connected to the server has the project {project} open; {others}",
        f"Open the project {project} in Godot, then call again; no restart of this client is needed.",
        data=data,
    )


def editor_not_active(project: str | None, sessions: Sessions, argument: str) -> Problem:
    """Return the problem of a request that names no editor, and would go to the one of another project."""
    active = next((f"the one of {session.project}" for session in sessions if session.is_active), "none")
    return Problem(
        "EDITOR_NOT_ACTIVE",
        f"this goes to the editor that is active in the whole server, which is {active}, and not the one of {project}",
        f"Use a tool with the argument {argument}, which is filled in. Or make the editor of {project} active first.",
        data={"project": project, "open_projects": _projects(sessions)},
    )


def _projects(sessions: Sessions) -> list[str]:
    """Return the projects that are open."""
    return sorted({session.project for session in sessions})
