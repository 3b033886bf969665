"""Calls the daemon and follows its events, in threads, because the client of the daemon blocks."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..core.events_and_actions import (
    EditorsChanged,
    EnsureFailed,
    EnsureProgress,
    EnsureSucceeded,
    Event,
    IntroduceClient,
    Problem,
    ServerGone,
    ServerLeaving,
    ServerReady,
)
from .address import Address, address_of
from .daemon_rows import (
    NotNowError,
    failure_from,
    is_end_of,
    kind_of_editor,
    owner_claim,
    pids_of,
    reason_not_to_start,
    server_key,
    server_of,
)
from .project import DEFAULT_KIND

if TYPE_CHECKING:
    from ...client.client import Client
    from ...client.stream import Stream
    from ...native.facts import Folders

RECONNECT_PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""The pauses between attempts to reach a daemon that has ended: another one may be starting. After the last one nothing
is tried until the next request asks for a server."""

DAEMON_START_S = 30.0
"""How long a daemon may take to start."""


Json = Mapping[str, Any]


class DaemonLink:
    """The daemon, as the bridge needs it.

    `post` takes events for the conversation, and `on_address` takes the address of each server before `ServerReady`.
    `on_daemon` is called whenever a daemon is followed. Threads of this class call all three. `start_service` starts
    the daemon's service, and returns whether it did. `client` returns what the client says of itself.
    """

    def __init__(
        self,
        folders: "Folders",
        kind: str | None,
        project: str | None,
        *,
        post: Callable[[Event], None],
        on_address: Callable[[int, Address], None],
        start_service: Callable[["Folders"], bool],
        client: Callable[[], IntroduceClient | None] = lambda: None,
        on_daemon: Callable[[], None] = lambda: None,
    ) -> None:
        self._folders = folders
        self.kind = kind
        """The kind of server that is used. None if no daemon was asked for it yet."""
        self._is_kind_given = kind is not None
        self.project = project
        """The project that the bridge works for. It may be set at any time."""
        self._post = post
        self._on_address = on_address
        self._start_service = start_service
        self._on_daemon = on_daemon
        self._client = client
        self._lock = threading.Lock()
        self._is_following = False
        self._server_id: str | None = None
        """The id of the server that the daemon keeps running for this process."""
        self._editor_id: str | None = None
        """The id of the record that the daemon has of this process as an owner."""
        self._reported: tuple[object, ...] | None = None
        """The key of the server that was reported last. None if its end was reported since."""
        self._seen_in_events: tuple[object, ...] | None = None
        """The key of the server that the events were about last. `_reported` may be ahead of it."""
        self._editors: frozenset[int] | None = None
        """The processes of the editors that were reported last."""
        self._numbers: dict[tuple[object, ...], int] = {}
        """The numbers by which the conversation knows servers, by key."""

    def follow(self) -> None:
        """Begin to follow the events of the daemon, if one runs. Does nothing if they are followed."""
        with self._lock:
            if self._is_following:
                return
            self._is_following = True
        threading.Thread(target=self._follow, daemon=True).start()

    def ensure_server(self) -> None:
        """Begin to ask for a server; the daemon is started if none runs.

        `EnsureSucceeded` or `EnsureFailed` is posted.
        """
        threading.Thread(target=self._ensure_server, daemon=True).start()

    def release_server(self) -> None:
        """Begin to give up the ownership of the server. The daemon ends the server if nothing else needs it."""
        threading.Thread(target=self._release, args=(self._server_id, self._editor_id), daemon=True).start()

    # --- asking ---

    def _ensure_server(self) -> None:
        from ...errors import SupervisorError

        try:
            with self.connect(starting=True) as client:
                self._choose_kind(client)
                self._check_not_stopped(client)
                owner = owner_claim(self.project, self._client())
                row = client.call("server.ensure", {"kind": self.kind, "owner": owner}, on_progress=self._on_progress)
            before = self._server_id, self._editor_id
            self._server_id = row["id"]
            self._editor_id = next((each["editor"] for each in row["owners"] if each["pid"] == os.getpid()), None)
            if before[0] != row["id"]:
                self._release(*before)
            self._report(row, EnsureSucceeded)
        except SupervisorError as problem:
            self._post(failure_from(problem))
            return
        except NotNowError as refusal:
            self._post(EnsureFailed(refusal.problem))
            return
        except Exception as defect:  # noqa: BLE001 (the requests that wait must be answered)
            self._post(EnsureFailed(Problem("INTERNAL", f"{type(defect).__name__}: {defect}", fault="daemon")))
            return
        self.follow()

    def connect(self, *, starting: bool) -> "Client":
        """Return a client of the daemon. `starting`: start the daemon if none runs.

        Raises:
            SupervisorError: no daemon can be reached.
        """
        if not starting:
            from ...client import discovery

            return discovery.connect(self._folders)
        from ...client.autostart import ensure_daemon
        from .daemon_variables import completed_variables, folders_of_login

        self._folders = folders_of_login(self._folders)
        return ensure_daemon(
            self._folders,
            timeout_s=DAEMON_START_S,
            start_service=lambda: self._start_service(self._folders),
            environment=completed_variables,
            apart=True,
        )

    def _on_progress(self, said: Json) -> None:
        self._post(EnsureProgress(f"{said.get('stage', '')}: {said.get('message', '')}"))

    def _choose_kind(self, client: "Client") -> None:
        """Set the kind, unless it was given: that of a server that an editor of this project has now.

        Without such a server, the kind stays as it is, or is the default.
        """
        if self._is_kind_given:
            return
        self.kind = kind_of_editor(client.call("status"), self.project, self._editor_id) or self.kind or DEFAULT_KIND

    def _check_not_stopped(self, client: "Client") -> None:
        """Check that asking for a server would not undo a stop.

        Raises:
            NotNowError: the server is being stopped, or was stopped by the user and not started since.
        """
        rows = [row for row in client.call("server.list")["servers"] if self._fits(row)]
        ended = [] if rows else [row for row in client.call("server.history")["servers"] if self._fits(row)]
        problem = reason_not_to_start(rows, ended)
        if problem is not None:
            raise NotNowError(problem)

    def _release(self, server: str | None, editor: str | None) -> None:
        """Give up the ownership of a server. Does nothing if there is none."""
        from ...client import discovery
        from ...errors import SupervisorError

        if server is None or editor is None:
            return
        with contextlib.suppress(SupervisorError, OSError), discovery.connect(self._folders) as client:
            client.call("server.release", {"server": server, "editor": editor})

    # --- following ---

    def _follow(self) -> None:
        try:
            self._follow_daemons()
        finally:
            with self._lock:
                self._is_following = False

    def _follow_daemons(self) -> None:
        """Follow the events of the daemon, and of the one after it, until no daemon lets this process follow it."""
        from ...client import discovery
        from ...errors import SupervisorError

        attempts, was_followed = 0, False
        while attempts < len(RECONNECT_PAUSES_S):
            try:
                with discovery.connect(self._folders) as client:
                    self._choose_kind(client)
                    stream = client.stream("events.subscribe")
                    attempts, was_followed = 0, True
                    self._on_daemon()
                    self._listen(client, stream)
            except (SupervisorError, OSError, KeyError):
                # The next round connects again, or gives up.
                pass
            time.sleep(RECONNECT_PAUSES_S[attempts])
            attempts += 1
            # The end of a server that was reported, and its successor, have to be reported too. And a daemon that comes
            # after the one that was followed has to learn of this process.
            if self._reported is None and not was_followed:
                break

    def _listen(self, client: "Client", stream: "Stream") -> None:
        """Report servers for as long as the subscription lasts."""
        self._report_changes(stream.answer["snapshot"]["servers"])
        self._report_editors(stream.answer["snapshot"]["editors"])
        for method, notice in stream.listen():
            if method != "event":
                return
            if str(notice["event"]).startswith("editor."):
                self._report_editors(client.call("status")["editors"])
            if str(notice["event"]).startswith(("server.", "editor.")):
                self._choose_kind(client)
                self._report_changes(client.call("server.list")["servers"], notice)

    def _report_editors(self, rows: Sequence[Json]) -> None:
        """Report which editors have the project open. Events of bridges, which count as editors, change nothing."""
        pids = pids_of(rows, self.project)
        if pids != self._editors:
            self._editors = pids
            self._post(EditorsChanged(pids))

    def _report_changes(self, rows: Sequence[Json], notice: Json | None = None) -> None:
        """Report what has changed from the server that was reported to these rows.

        `notice` is the event after which the rows were asked for. It may be out of date.
        """
        ready = [row for row in rows if self._fits(row) and row["state"] == "ready" and row["url"]]
        row = next((row for row in ready if row["id"] == self._server_id), ready[0] if ready else None)
        seen = None if row is None else server_key(row)
        followed, self._seen_in_events = self._seen_in_events, seen or self._seen_in_events
        if followed is not None and seen != followed:
            ended = notice is not None and is_end_of(notice, followed[0])
            number = self._numbers.get(followed, 0)
            if ended:
                self._post(ServerGone(number))
            elif self._reported == followed:
                self._post(ServerLeaving(number))
            if self._reported == followed:
                self._reported = None
        if row is not None and self._reported != seen:
            self._report(row, ServerReady)

    def _fits(self, row: Json) -> bool:
        """Return whether a row is about a server of this kind, for this project or for all projects."""
        return row["kind"] == (self.kind or DEFAULT_KIND) and row["project"] in (None, self.project)

    def _report(self, row: Json, event: type[ServerReady] | type[EnsureSucceeded]) -> None:
        """Report a server that is ready, and its address. `event` is the kind of the report.

        A server without a usable URL is reported as `EnsureFailed`.
        """
        address = address_of(row)
        if address is None:
            text = f"{row['id']} has no URL, so nothing can be sent to it"
            self._post(EnsureFailed(Problem("SERVER_HAS_NO_URL", text, "kinds.NAME.url in config.toml")))
            return
        key = server_key(row)
        with self._lock:
            number = self._numbers.setdefault(key, len(self._numbers) + 1)
        self._reported = key
        self._on_address(number, address)
        self._post(event(server_of(row, number)))
