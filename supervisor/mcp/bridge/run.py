"""The MCP bridge: an MCP server on the standard streams, for as long as its client lives."""

import contextlib
import functools
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ...native.startup.parent_watch import when_starter_ends
from ..core.conversation import Conversation
from ..core.events_and_actions import (
    AbortExchange,
    Action,
    BeginCall,
    BeginExchange,
    DeadlineReached,
    EndCall,
    EnsureServer,
    EnsureSucceeded,
    Event,
    ExamineEditors,
    FailExchange,
    FindProject,
    IntroduceClient,
    ProjectDecided,
    ReleaseServer,
    SendToClient,
    ServerReady,
    WriteCatalogue,
)
from .catalogue_files import CatalogueFiles
from .connection_pool import ConnectionPool
from .loop import Loop
from .project import DEFAULT_KIND, find_project_in_roots
from .streams import Input, Output, redirect_stdout

if TYPE_CHECKING:
    from ...native.facts import Folders
    from .address import Address
    from .call_link import CallLink
    from .daemon_link import DaemonLink

T = TypeVar("T")

DEFECT_PAUSE_S = 1.0
"""How long deadlines wait after a defect. The deadline that has met it may be due again at once."""


def serve(kind: str | None, project: str | None, folders: "Folders", start_service: Callable[["Folders"], bool]) -> int:
    """Serve the client until it ends, and return the exit code. Most ends do not return: see `McpBridge.exit_process`.

    `start_service` starts the daemon's service, if one is installed, and returns whether it did.
    """
    bridge = McpBridge(kind, project, folders, start_service)
    hangup = getattr(signal, "SIGHUP", signal.SIGTERM)
    for number in (signal.SIGTERM, signal.SIGINT, hangup):
        # `nohup` lets a command ignore the end of its terminal.
        if number != hangup or signal.getsignal(hangup) != signal.SIG_IGN:
            signal.signal(number, lambda *_: bridge.exit_process())
    when_starter_ends(bridge.exit_process, _is_launcher)
    bridge.run()
    return 0


def _is_launcher(command: Sequence[str]) -> bool:
    """Return whether a command line is that of a launcher. Not imported before the first answer, like the others."""
    from ...core.processes.runners import is_runner

    return is_runner(command)


class McpBridge:
    """Gives the conversation its events, and performs its actions."""

    def __init__(
        self, kind: str | None, project: str | None, folders: "Folders", start_service: Callable[["Folders"], bool]
    ) -> None:
        self._loop = Loop()
        self._catalogues = CatalogueFiles(folders.home_text)
        self._project = project
        self._output = Output(redirect_stdout(), self.exit_process)
        self._connections = ConnectionPool(self._loop, self._handle)
        self._make_daemon_link: Callable[[], DaemonLink] = lambda: self._daemon_link(folders, kind, start_service)
        self._calls: CallLink | None = None
        self._client: IntroduceClient | None = None
        prefix = f"godot-supervisor-{os.urandom(6).hex()}"
        self._conversation = Conversation(
            kind or DEFAULT_KIND,
            prefix,
            self._catalogues.newest(kind, project),
            time.monotonic(),
            project=project,
            asks_project=project is None,
        )
        self._last_roots: tuple[str, ...] = ()
        """The roots that the client has named last."""
        self._is_following = False
        self._no_deadline_before = 0.0

    @functools.cached_property
    def _daemon(self) -> "DaemonLink":
        """Return the link to the daemon. It is made when it is first needed, after the first answer."""
        return self._make_daemon_link()

    def _daemon_link(
        self, folders: "Folders", kind: str | None, start_service: Callable[["Folders"], bool]
    ) -> "DaemonLink":
        from .daemon_link import DaemonLink

        return DaemonLink(
            folders,
            kind,
            self._project,
            post=lambda event: self._loop.post(lambda: self._handle(event)),
            on_address=self._on_address,
            start_service=start_service,
            client=lambda: self._client,
            on_daemon=lambda: self._loop.post(lambda: self._call_link().open()),
        )

    def run(self) -> None:
        """Read the input and run the loop. Does not return: the end of the input ends the process."""
        Input(self._loop, sys.stdin.fileno(), self._on_client_event, self.exit_process)
        self._loop.run(
            lambda: min(max(self._conversation.deadline, self._no_deadline_before), self._report_deadline()),
            self._on_deadline,
        )

    def _on_deadline(self) -> None:
        if self._calls is not None and time.monotonic() >= self._report_deadline():
            self._attempt(self._calls.report_if_due)
        if time.monotonic() >= max(self._conversation.deadline, self._no_deadline_before):
            self._handle(DeadlineReached())

    def _report_deadline(self) -> float:
        return float("inf") if self._calls is None else self._calls.deadline

    def exit_process(self) -> None:
        """End this process at once, with exit code 0. There is nothing to undo: the daemon notices the end.

        May be called in any thread.
        """
        try:
            session_to_end = self._conversation.session_to_end()
            if session_to_end is not None:
                server, headers = session_to_end
                self._connections.end_session(server.number, headers)
        finally:
            # Another thread may be in the middle of a change of what was read here.
            os._exit(0)

    def _on_client_event(self, event: Event) -> None:
        self._handle(event)
        if not self._is_following:
            # Not before the first answer: importing the client of the daemon takes longer than everything until then.
            from .late_modules import load_late_modules

            self._is_following = True
            self._daemon.follow()
            load_late_modules()
            gc.freeze()
            gc.enable()

    def _call_link(self) -> "CallLink":
        """Return what tells the daemon of calls. Made when it is first needed, after the first answer."""
        if self._calls is None:
            from .call_link import CallLink

            self._calls = CallLink(
                self._loop,
                lambda starting: self._daemon.connect(starting=starting),
                lambda event: self._loop.post(lambda: self._handle(event)),
                lambda: self._daemon.project,
            )
            if self._client is not None:
                self._calls.perform(self._client)
        return self._calls

    def _on_address(self, number: int, address: "Address") -> None:
        self._loop.post(lambda: self._connections.set_address(number, address))

    def _find_project(self, roots: tuple[str, ...]) -> None:
        """Begin to find the project that the client's roots are in, in a thread: they may be on a slow file system."""
        import threading

        self._last_roots = roots

        def find() -> None:
            found = find_project_in_roots(roots)
            self._loop.post(lambda: self._set_project(roots, found))

        threading.Thread(target=find, daemon=True).start()

    def _set_project(self, roots: tuple[str, ...], found: str | None) -> None:
        """Work for another project, unless other roots were named since. Without one, the project stays unknown."""
        if roots is not self._last_roots:
            return
        has_changed = found != self._project
        self._project = found
        self._daemon.project = found
        if self._calls is not None:
            self._calls.introduce()
        catalogue = self._catalogues.newest(self._daemon.kind, found) if has_changed else None
        content = None if catalogue is None else catalogue.to_json()
        self._handle(ProjectDecided(has_changed, content, found))

    def _handle(self, event: Event) -> None:
        if isinstance(event, (ServerReady, EnsureSucceeded)):
            self._call_link().set_server(event.server.number, event.server.name)
        later: list[Action] = []
        actions = self._conversation.receive(event, time.monotonic())
        while (action := self._attempt(next, actions, None)) is not None:
            # What the client or a server waits for comes first. The end of a call stays before its answer: after that,
            # the call of another client must be admitted.
            if isinstance(action, (SendToClient, BeginExchange)) or (isinstance(action, EndCall) and not later):
                # Each one for itself: a catalogue that cannot be written must not cost a request its answer.
                self._attempt(self._perform, action)
            else:
                later.append(action)
        for action in later:
            self._attempt(self._perform, action)

    def _attempt(self, work: Callable[..., T], *arguments: Any) -> T | None:
        """Do this work, and return its result. After a defect in it, print that, and let deadlines wait."""
        try:
            return work(*arguments)
        except Exception:  # noqa: BLE001 (most clients never start a bridge again, so a defect must not end it)
            import traceback

            self._no_deadline_before = time.monotonic() + DEFECT_PAUSE_S
            # Clients may have closed their end of the stream.
            with contextlib.suppress(OSError):
                traceback.print_exc()
            return None

    def _perform(self, action: Action) -> None:
        match action:
            case SendToClient(text):
                self._output.write_line(text)
            case BeginExchange():
                self._connections.begin_exchange(action)
            case AbortExchange(exchange):
                self._connections.abort_exchange(exchange)
            case FailExchange(exchange):
                self._connections.fail_exchange(exchange)
            case WriteCatalogue(version, content):
                self._catalogues.write(self._daemon.kind or DEFAULT_KIND, self._project, version, content)
            case FindProject(roots):
                self._find_project(roots)
            case ExamineEditors():
                from .editors import examine

                examine(action, self._project, lambda event: self._loop.post(lambda: self._handle(event)))
            case _:
                self._ask_daemon(action)

    def _ask_daemon(self, action: Action) -> None:
        match action:
            case EnsureServer():
                self._daemon.ensure_server()
            case ReleaseServer():
                self._daemon.release_server()
            case IntroduceClient():
                self._client = action
                if self._calls is not None:
                    self._calls.perform(action)
            case BeginCall() | EndCall():
                self._call_link().perform(action)
