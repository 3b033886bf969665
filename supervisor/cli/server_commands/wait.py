"""`wait`: until a server is in a state. Built on events; nothing is polled."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from ...client.client import Client
from ...client.stream import Stream
from ...errors import NotFound, ResponseTimeout, SupervisorError, TimedOut
from ...native.facts import folders
from .. import follow, options, output, server_choice
from ..deadline import Deadline

GONE = "gone"
STATES = ("starting", "ready", "unhealthy", "backoff", "stopping", "stopped", "failed", GONE)

# A server that was stopped is forgotten.
_HOLD_WITHOUT_IT = frozenset({"stopped", GONE})
_AT_REST = frozenset({"stopped", "failed"})
_AFTER_REST = frozenset({"stopping", "stopped", "failed", GONE})

Json = Mapping[str, Any]


@click.command
@options.server
@click.option("--for", "wanted", type=click.Choice(STATES), required=True, help="The state to wait for.")
@options.as_json
@options.timeout
def wait(*, server: str | None, wanted: str, as_json: bool, deadline: Deadline) -> None:
    """Wait until a server is in a state. With exactly one server, ID may be left out."""
    waiting = _Waiting(server, wanted, deadline)
    follow.through_restarts(folders(), deadline, waiting.follow)
    meant, found = waiting.outcome
    if as_json:
        output.document(found)
    else:
        output.line(f"{meant}: {wanted}")


class _Waiting:
    """A wait that goes on with the next daemon, should this one be restarted."""

    def __init__(self, server: str | None, wanted: str, deadline: Deadline) -> None:
        self._server = server
        self._wanted = wanted
        self._deadline = deadline
        self.outcome: tuple[str, Json]

    def follow(self, client: Client) -> bool:
        """Wait for as long as this daemon lives."""
        stream = client.stream("events.subscribe")
        snapshot = stream.answer["snapshot"]
        if self._server is None:
            self._server = server_choice.only_server(snapshot["servers"], f"wait --for {self._wanted}")
        else:
            found = server_choice.among(snapshot["servers"], self._server)
            verb = f"wait --for {self._wanted}"
            self._server = (
                server_choice.only(found, f"{self._server!r} means several servers", verb) if found else self._server
            )
        watched = _Watched(client, self._server, self._wanted, snapshot["servers"])
        if snapshot.get("left_out"):
            watched.look()
        self._until(watched, stream)
        self.outcome = watched.id, watched.view()
        return True

    def _until(self, watched: "_Watched", stream: Stream) -> None:
        if watched.is_there():
            return
        try:
            for method, told in stream.listen(self._deadline.left()):
                if method == "event" and told["server"] not in (watched.id, None):
                    continue
                watched.look()
                if watched.passes_through(told) or watched.is_there():
                    return
        except ResponseTimeout as problem:
            patience_s = self._deadline.timeout_s or 0
            message = f"{watched.id} is {watched.state} and not {watched.wanted} after {patience_s:g} s"
            raise TimedOut(message, hint=f"godot-supervisor inspect {watched.id}") from problem


class _Watched:
    """A server, as far as it is known now."""

    def __init__(self, client: Client, server: str, wanted: str, servers: Sequence[Json]) -> None:
        self.id = server
        self.wanted = wanted
        self._client = client
        self._row: Json | None = next((row for row in servers if row["id"] == server), None)

    @property
    def state(self) -> str:
        return GONE if self._row is None else str(self._row["state"])

    def look(self) -> None:
        """Ask how it is now."""
        try:
            self._row = self._client.call("server.get", {"server": self.id})
        except SupervisorError as problem:
            if problem.code != NotFound.code:
                raise
            self._row = None

    def passes_through(self, told: Json) -> bool:
        """Whether this tells that it was in the wanted state, however shortly."""
        about = (told.get("event"), told.get("server"))
        return about == ("server.state", self.id) and told["details"]["now"] == self.wanted

    def is_there(self) -> bool:
        """Whether it is in the wanted state.

        Raises:
            NotFound: it will not come there by itself.
        """
        if self.state == self.wanted or (self._row is None and self.wanted in _HOLD_WITHOUT_IT):
            return True
        if self._row is None:
            raise NotFound(
                f"there is no server {self.id}: it cannot become {self.wanted}", hint="godot-supervisor up KIND"
            )
        if self.state in _AT_REST and self.wanted not in _AFTER_REST:
            failure = self._row["failure"]
            why = f": {failure['message']}" if failure else ""
            raise NotFound(
                f"{self.id} is {self.state} and does not become {self.wanted} by itself{why}",
                hint=f"godot-supervisor logs {self.id}",
            )
        return False

    def view(self) -> Json:
        """The server for `--json`, with the state that was waited for, whatever it is by now."""
        return {**(self._row or {"id": self.id}), "state": self.wanted}
