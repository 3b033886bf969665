"""Asks the daemon for a server, and follows its events, in threads: the client of the daemon blocks."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..core.values import (
    Event,
    NeedMet,
    NeedProgress,
    NeedRefused,
    Problem,
    Server,
    ServerGone,
    ServerLeaving,
    ServerReady,
)
from .address import Address, address_of

if TYPE_CHECKING:
    from ...client.client import Client
    from ...native.facts import Folders

PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Between attempts to reach a daemon that has ended: another one may be starting. After them, nothing is tried until
the next request asks for a server."""

START_S = 30.0
SHUTDOWN = "the daemon's shutdown"
"""The requester that the history names for servers that ended with their daemon. No user has stopped these."""

DEFAULT_KIND = "godot-ai"

ENDED = frozenset({"server.exited", "server.stopped", "server.gone"})

Json = Mapping[str, Any]


class DaemonLink:
    """The daemon, as the bridge needs it. `post` takes events into the loop; `found` the addresses of servers."""

    def __init__(
        self,
        where: "Folders",
        kind: str | None,
        project: str | None,
        *,
        post: Callable[[Event], None],
        found: Callable[[int, Address], None],
        start_service: Callable[["Folders"], bool],
    ) -> None:
        self._where = where
        self.kind = kind
        self._project = project
        self._post = post
        self._found = found
        self._start_service = start_service
        self._lock = threading.Lock()
        self._is_following = False
        self._ours: str | None = None
        """The id of the server that the daemon keeps for us."""
        self._editor: str | None = None
        self._known: tuple[object, ...] | None = None
        """The server that was reported last, None if it has gone since."""
        self._followed: tuple[object, ...] | None = None
        """The server that the events were about last. A server that was asked for may be ahead of the events."""
        self._numbers: dict[tuple[object, ...], int] = {}

    def follow(self) -> None:
        """Follow the events of the daemon, if one runs."""
        with self._lock:
            if self._is_following:
                return
            self._is_following = True
        threading.Thread(target=self._follow, daemon=True).start()

    def ask(self) -> None:
        """Ask for a server. `NeedMet` or `NeedRefused` follows."""
        threading.Thread(target=self._ask, daemon=True).start()

    def release(self) -> None:
        """Let the daemon end the server, if nothing else needs it."""
        threading.Thread(target=self._release, daemon=True).start()

    # --- asking ---

    def _ask(self) -> None:
        from ...client.autostart import ensure_daemon
        from ...errors import SupervisorError
        from .environment import for_daemon

        try:
            client = ensure_daemon(
                self._where,
                timeout_s=START_S,
                start_service=lambda: self._start_service(self._where),
                environment=for_daemon(os.environ),
            )
            with client:
                self._choose_kind(client)
                self._refuse_stopped(client)
                owner = {"pid": os.getpid()} | ({} if self._project is None else {"project": self._project})
                row = client.call("server.ensure", {"kind": self.kind, "owner": owner}, on_progress=self._progress)
        except SupervisorError as problem:
            self._post(NeedRefused(problem_of(problem)))
            return
        except _NotNowError as refusal:
            self._post(NeedRefused(refusal.problem))
            return
        except Exception as defect:  # noqa: BLE001 (the requests that wait must be answered)
            self._post(NeedRefused(Problem("INTERNAL", f"{type(defect).__name__}: {defect}", fault="daemon")))
            return
        self._ours = row["id"]
        self._editor = next((each["editor"] for each in row["owners"] if each["pid"] == os.getpid()), None)
        self._report(row)
        self._post(NeedMet())
        self.follow()

    def _progress(self, said: Json) -> None:
        self._post(NeedProgress(f"{said.get('stage', '')}: {said.get('message', '')}"))

    def _choose_kind(self, client: "Client") -> None:
        """Choose the kind of the server that an editor of this project has, unless one was given."""
        if self.kind is not None:
            return
        status = client.call("status")
        ids = [name for editor in status["editors"] if editor["project"] == self._project for name in editor["servers"]]
        kinds = [row["kind"] for row in status["servers"] if self._project is not None and row["id"] in ids]
        self.kind = kinds[0] if kinds else DEFAULT_KIND

    def _refuse_stopped(self, client: "Client") -> None:
        """Raise if the user has stopped the server, and nothing has started it since."""
        rows = [row for row in client.call("server.list")["servers"] if self._is_ours(row)]
        if rows and all(row["state"] == "stopping" for row in rows):
            # A request that waits for the end of a stop would undo the stop.
            raise _NotNowError(Problem("SERVER_NOT_READY", f"{rows[0]['id']} is being stopped", retryable=True))
        if rows:
            return
        ended = client.call("server.history")["servers"]
        last = next((row for row in ended if self._is_ours(row)), None)
        if last is not None and last["how"] == "stopped" and last["by"] != SHUTDOWN:
            raise _NotNowError(_stopped_by_user(last))

    def _release(self) -> None:
        from ...client import discovery
        from ...errors import SupervisorError

        if self._ours is None or self._editor is None:
            return
        with contextlib.suppress(SupervisorError, OSError), discovery.connect(self._where) as client:
            client.call("server.release", {"server": self._ours, "editor": self._editor})

    # --- following ---

    def _follow(self) -> None:
        from ...client import discovery
        from ...errors import SupervisorError

        attempts = 0
        while attempts < len(PAUSES_S):
            try:
                with discovery.connect(self._where) as client:
                    self._choose_kind(client)
                    attempts = 0
                    self._listen(client)
            except (SupervisorError, OSError, KeyError):
                # The next round connects again, or gives up.
                pass
            time.sleep(PAUSES_S[attempts])
            attempts += 1
            if not self._may_come_back():
                break
        with self._lock:
            self._is_following = False

    def _may_come_back(self) -> bool:
        """Return whether a server is known, so that its end and its successor matter."""
        return self._known is not None

    def _listen(self, client: "Client") -> None:
        stream = client.stream("events.subscribe")
        self._look(stream.answer["snapshot"]["servers"])
        for method, notice in stream.listen():
            if method != "event":
                return
            if str(notice["event"]).startswith("server."):
                self._look(client.call("server.list")["servers"], notice)

    def _look(self, rows: Sequence[Json], notice: Json | None = None) -> None:
        """Report what the rows say of the server. `notice` is the event that made us look: it may be out of date."""
        ready = [row for row in rows if self._is_ours(row) and row["state"] == "ready" and row["url"]]
        chosen = [row for row in ready if row["id"] == self._ours] or ready[:1]
        seen = _identity(chosen[0]) if chosen else None
        followed, self._followed = self._followed, seen or self._followed
        if followed is not None and seen != followed:
            ended = notice is not None and notice["event"] in ENDED and notice["server"] == followed[0]
            number = self._numbers.get(followed, 0)
            if ended:
                self._post(ServerGone(number))
            elif self._known == followed:
                self._post(ServerLeaving(number))
            if self._known == followed:
                self._known = None
        if chosen and self._known != seen:
            self._report(chosen[0])

    def _is_ours(self, row: Json) -> bool:
        return row["kind"] == (self.kind or DEFAULT_KIND) and row["project"] in (None, self._project)

    def _report(self, row: Json) -> None:
        """Report a server that is ready, and where it listens."""
        address = address_of(row)
        if address is None:
            text = f"{row['id']} has no URL, so nothing can be sent to it"
            self._post(NeedRefused(Problem("SERVER_HAS_NO_URL", text, "kinds.NAME.url in config.toml")))
            return
        identity = _identity(row)
        with self._lock:
            number = self._numbers.setdefault(identity, len(self._numbers) + 1)
        self._known = identity
        self._found(number, address)
        self._post(ServerReady(Server(number, row["version"], row["id"])))


class _NotNowError(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def _stopped_by_user(row: Json) -> Problem:
    return Problem(
        "STOPPED_BY_USER",
        f"the user has stopped the server {row['id']}",
        f"To start it again: godot-supervisor up {row['kind']}. This client need not be restarted.",
        fault="caller",
    )


def _identity(row: Json) -> tuple[object, ...]:
    process = row["process"] or {}
    return (row["id"], process.get("pid"), process.get("started_at"), row["url"])


def problem_of(error: Any) -> Problem:
    """Return a problem of the daemon for the client."""
    retryable = error.retryable or error.code in {"DISCONNECTED_AFTER_ACCEPT", "DISCONNECTED_BEFORE_ACCEPT"}
    hint = None if error.hint is None else f"Hint: {error.hint}."
    return Problem(error.code, error.message, hint, retryable, error.fault.value, error.retry_after_ms)
