"""Reaching the daemon, and naming one of its servers."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..client import endpoint
from ..client.client import Client
from ..client.endpoint import Endpoint
from ..errors import DaemonNotRunning, InvalidParams, NotFound, SupervisorError
from ..native.facts import Folders, folders
from . import output

CONNECT_TIMEOUT_S = 2.0
READ_TIMEOUT_S = 5.0
START_HINT = "godot-supervisor start"

_OVER = frozenset({"stopped", "failed"})


def find(where: Folders) -> Endpoint:
    """What the daemon that runs says of itself. It may have died since.

    Raises:
        DaemonNotRunning: none has said anything.
    """
    found = endpoint.read(where.endpoint_name)
    if found is None:
        raise DaemonNotRunning("no daemon is running", hint=START_HINT)
    return found


def connect(where: Folders | None = None, *, timeout_s: float | None = None) -> Client:
    """A connection to the daemon that runs.

    Raises:
        DaemonNotRunning: none does.
    """
    return Client.connect(find(where or folders()), timeout_s=timeout_s or CONNECT_TIMEOUT_S)


def awaken(where: Folders, *, timeout_s: float) -> Client:
    """A connection to the daemon, started if need be: by the system's service where there is one of ours, else by us.

    Raises:
        StateNotWritable, DaemonNotRunning, ProtocolUnsupported, RemoteError: see `ensure_daemon`.
    """
    from ..client.autostart import ensure_daemon

    return ensure_daemon(where, timeout_s=timeout_s, by_service=lambda: _by_service(where))


def _by_service(where: Folders) -> bool:
    from ..daemon.version import installed
    from ..service.managers import start_if_installed

    return start_if_installed(where, installed())


def ask(method: str, params: Mapping[str, Any] | None = None, *, timeout_s: float | None = None) -> Any:
    """The daemon's answer to one read."""
    with connect(timeout_s=timeout_s) as client:
        return client.call(method, params, accept_timeout_s=timeout_s or READ_TIMEOUT_S)


def perform(client: Client, method: str, params: Mapping[str, Any], *, quiet: bool, timeout_s: float | None) -> Any:
    """The daemon's answer to a mutation, its progress shown unless `quiet`."""
    progress = output.Progress(quiet=quiet)
    try:
        return client.call(method, params, on_progress=progress.update, timeout_s=timeout_s)
    finally:
        progress.end()


def disturb(
    client: Client, verb: str, server: str, *, force: bool, quiet: bool, timeout_s: float | None
) -> Mapping[str, Any]:
    """The server after `down` or `restart`, the verbs that an editor which is busy may not want."""
    params = {"server": server, "force": True} if force else {"server": server}
    method = {"down": "server.stop", "restart": "server.restart"}[verb]
    try:
        done: Mapping[str, Any] = perform(client, method, params, quiet=quiet, timeout_s=timeout_s)
    except SupervisorError as problem:
        running = problem.data.get("running")
        if problem.code == "BUSY" and isinstance(running, Mapping) and running.get("method") == "editor.state":
            problem.hint = f"wait, or: godot-supervisor {verb} {server} --force"
        raise
    return done


def named(client: Client, server: str | None, verb: str) -> str:
    """The id of the server that the user means: the one that was named, else the only one that there is."""
    return server if server is not None else only_server(client.call("server.list")["servers"], verb)


def only_server(servers: Sequence[Mapping[str, Any]], verb: str) -> str:
    """The id of the one server that `verb` can mean when the user named none. Those that run come first.

    Raises:
        NotFound: there is none.
        InvalidParams: there are several.
    """
    ours = [row for row in servers if row["origin"] != "external"]
    running = [row["id"] for row in ours if row["state"] not in _OVER]
    meant = running or [row["id"] for row in ours]
    if not meant:
        raise NotFound("no server is running", hint="godot-supervisor status")
    if len(meant) > 1:
        known = ", ".join(sorted(meant))
        what = "are running" if running else "are known"
        raise InvalidParams("ID", f"several servers {what}: {known}", hint=f"godot-supervisor {verb} {meant[0]}")
    return str(meant[0])
