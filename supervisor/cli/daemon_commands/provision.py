"""What `clients install` does after the files: installs the server, starts it once, and fills the catalogue."""

import os
from pathlib import Path
from typing import Any

from ...errors import SupervisorError
from ...mcp.ai_clients.catalogue_filling import CatalogueFilling
from ...mcp.bridge.project import DEFAULT_KIND, find_project
from ...native.facts import Folders
from .. import output, remote
from ..context.owner import identify_owner
from ..context.projects import utf8_path
from ..deadline import Deadline
from .daemon import START_TIMEOUT_S


def provision(
    kind: str | None, project: Path | None, where: Folders, deadline: Deadline, *, as_json: bool
) -> dict[str, Any]:
    """Make the first start of a client quick, and return what was done.

    A failure is no error of the command: the entries are written, and the first start of a client does the same, but
    takes longer.
    """
    folder = find_project(None if project is None else utf8_path(str(project.resolve())))
    filling = CatalogueFilling(where.home_text, kind, folder, os.environ)
    wanted = kind or DEFAULT_KIND
    if filling.is_complete():
        return {"kind": wanted, "done": True, "reason": None}
    try:
        complete = _fill(wanted, folder, where, deadline, filling, as_json=as_json)
    except (SupervisorError, OSError) as problem:
        reason = _reason(problem)
        if not as_json:
            output.note(f"note: {wanted} was not prepared: {reason}")
            output.note("the entries are written; the first start of a client installs the server, and takes longer")
        return {"kind": wanted, "done": False, "reason": reason}
    if not as_json:
        ready = "its tools are known" if complete else "its tools are read at the first start of a client"
        output.note(f"{wanted} is installed, and {ready}")
    return {"kind": wanted, "done": complete, "reason": None if complete else "its lists could not be read in time"}


def _reason(problem: SupervisorError | OSError) -> str:
    if isinstance(problem, OSError):
        return str(problem)
    return problem.message if problem.hint is None else f"{problem.message} ({problem.hint})"


def _fill(
    kind: str, project: str | None, where: Folders, deadline: Deadline, filling: CatalogueFilling, *, as_json: bool
) -> bool:
    """Have the server started, fill the catalogue, release the server. Returns whether the catalogue is complete."""
    owner = identify_owner(os.getpid()) | ({} if project is None else {"project": project})
    with remote.connect_or_start(where, deadline, default_s=START_TIMEOUT_S) as client:
        server = remote.run_operation(
            client, "server.ensure", {"kind": kind, "owner": owner}, as_json=as_json, deadline=deadline
        )
        try:
            return filling.fill()
        finally:
            mine = [each["editor"] for each in server["owners"] if each["pid"] == os.getpid()]
            if mine:
                client.call("server.release", {"server": server["id"], "editor": mine[0]})
