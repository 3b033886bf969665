"""The command `wait`. Uses the daemon's events, without polling."""

from collections.abc import Sequence

import click

from ...client.client import Client
from ...client.json_object import JsonObject
from ...client.stream import Stream
from ...errors import NotFound, ResponseTimeout, SupervisorError, TimedOut
from ...native.facts import folders
from .. import follow, options, output, server_choice
from ..deadline import Deadline

GONE = "gone"
STATES = ("starting", "ready", "unhealthy", "backoff", "stopping", "stopped", "failed", GONE)

_TRUE_IF_ABSENT = frozenset({"stopped", GONE})
"""States of a server that the daemon does not know, because it forgets a server that was stopped."""

_AT_REST = frozenset({"stopped", "failed"})
"""States that a server does not leave by itself for one in which it runs."""

_REACHED_FROM_REST = frozenset({"stopping", "stopped", "failed", GONE})
"""States that a server at rest may still reach."""


@click.command
@options.server
@click.option("--for", "wanted", type=click.Choice(STATES), required=True, help="The state to wait for.")
@options.as_json
@options.timeout
def wait(*, server: str | None, wanted: str, as_json: bool, deadline: Deadline) -> None:
    """Wait until a server is in a state.

    ID is a server's id, a kind, or a project (its folder, or the folder's name). With exactly one server it can be left
    out.
    """
    waiting = _Waiting(server, wanted, deadline)
    follow.through_restarts(folders(), deadline, waiting.follow)
    found_id, found = waiting.outcome
    if as_json:
        output.document(found)
    else:
        output.line(f"{found_id}: {wanted}")


class _Waiting:
    """A wait that continues with the next daemon when the daemon is restarted."""

    def __init__(self, server: str | None, wanted: str, deadline: Deadline) -> None:
        self._server = server
        self._wanted = wanted
        self._deadline = deadline
        self.outcome: tuple[str, JsonObject]
        """The server's id, and its document for `--json`. Set at the end of the wait."""

    def follow(self, client: Client) -> None:
        """Wait until the server is in the wanted state, and set `outcome`."""
        stream = client.stream("events.subscribe")
        snapshot = stream.answer["snapshot"]
        command = f"wait --for {self._wanted}"
        if self._server is None:
            self._server = server_choice.only_server(snapshot["servers"], command)
        elif found := server_choice.matching(snapshot["servers"], self._server):
            problem = f"{self._server!r} means several servers"
            self._server = server_choice.narrowed_to_one(found, problem, command)
        watched = _Watched(client, self._server, self._wanted, snapshot["servers"])
        if snapshot.get("left_out"):
            watched.update()
        self._until(watched, stream)
        self.outcome = watched.id, watched.document()

    def _until(self, watched: "_Watched", stream: Stream) -> None:
        if watched.has_state():
            return
        try:
            for method, notice in stream.listen(self._deadline.left()):
                if method == "event" and notice["server"] not in (watched.id, None):
                    continue
                watched.update()
                if watched.had_state(notice) or watched.has_state():
                    return
        except ResponseTimeout as problem:
            timeout_s = self._deadline.timeout_s or 0
            message = f"{watched.id} is {watched.state} and not {watched.wanted} after {timeout_s:g} s"
            raise TimedOut(message, hint=f"godot-supervisor inspect {watched.id}") from problem


class _Watched:
    """The server that is waited for, with its latest known state."""

    def __init__(self, client: Client, server: str, wanted: str, servers: Sequence[JsonObject]) -> None:
        self.id = server
        self.wanted = wanted
        self._client = client
        self._row: JsonObject | None = next((row for row in servers if row["id"] == server), None)

    @property
    def state(self) -> str:
        return GONE if self._row is None else str(self._row["state"])

    def update(self) -> None:
        """Ask the daemon for the server's present state."""
        try:
            self._row = self._client.call("server.get", {"server": self.id})
        except SupervisorError as problem:
            if problem.code != NotFound.code:
                raise
            self._row = None

    def had_state(self, notice: JsonObject) -> bool:
        """Return whether this event says that the server was in the wanted state, however briefly."""
        subject = (notice.get("event"), notice.get("server"))
        return subject == ("server.state", self.id) and notice["details"]["now"] == self.wanted

    def has_state(self) -> bool:
        """Return whether the server is in the wanted state.

        Raises:
            NotFound: the server will not reach that state by itself.
        """
        if self.state == self.wanted or (self._row is None and self.wanted in _TRUE_IF_ABSENT):
            return True
        if self._row is None:
            raise NotFound(
                f"there is no server {self.id}, so it cannot become {self.wanted}", hint="godot-supervisor up KIND"
            )
        if self.state in _AT_REST and self.wanted not in _REACHED_FROM_REST:
            failure = self._row["failure"]
            why = f": {failure['message']}" if failure else ""
            raise NotFound(
                f"{self.id} is {self.state} and will not become {self.wanted} by itself{why}",
                hint=f"godot-supervisor logs {self.id}",
            )
        return False

    def document(self) -> JsonObject:
        """Return the server for `--json`, with the state that was waited for even if it has changed since."""
        return {**(self._row or {"id": self.id}), "state": self.wanted}
