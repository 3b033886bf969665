"""The MCP bridge: an MCP server on the standard streams, for as long as its client lives."""

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...native.startup.parent_watch import when_parent_ends
from ..core.conversation import Conversation
from ..core.values import (
    Abort,
    Action,
    AskForServer,
    Event,
    GiveUp,
    KeepCatalogue,
    ReleaseServer,
    SayToClient,
    Send,
    TimePassed,
)
from .catalogue_file import CatalogueFiles
from .daemon_link import DEFAULT_KIND, DaemonLink
from .loop import Loop
from .streams import Input, Output, take_stdout
from .upstream import Upstream

if TYPE_CHECKING:
    from ...native.facts import Folders
    from .address import Address


def serve(kind: str | None, project: str | None, where: "Folders", start_service: Callable[["Folders"], bool]) -> int:
    """Serve the client until it ends. Returns the exit code."""
    bridge = McpBridge(kind, project, where, start_service)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: bridge.leave())
    when_parent_ends(bridge.leave)
    bridge.run()
    return 0


class McpBridge:
    """Performs what the conversation asks for."""

    def __init__(
        self, kind: str | None, project: str | None, where: "Folders", start_service: Callable[["Folders"], bool]
    ) -> None:
        self._loop = Loop()
        self._files = CatalogueFiles(where.home_text, kind or DEFAULT_KIND, project)
        self._output = Output(take_stdout(), self.leave)
        self._upstream = Upstream(self._loop, self._take)
        self._link = DaemonLink(
            where,
            kind,
            project,
            post=lambda event: self._loop.post(lambda: self._take(event)),
            found=self._found,
            start_service=start_service,
        )
        prefix = f"godot-supervisor-{os.urandom(6).hex()}"
        self._conversation = Conversation(kind or DEFAULT_KIND, prefix, self._files.newest(), time.monotonic())
        self._follows = False

    def run(self) -> None:
        """Serve until the client's end of the input."""
        Input(self._loop, sys.stdin.fileno(), self._said, self.leave)
        self._loop.run(lambda: self._conversation.deadline, lambda: self._take(TimePassed()))

    def leave(self) -> None:
        """End this process at once, from any thread: there is nothing to undo. The daemon notices the end."""
        goodbye = self._conversation.goodbye()
        if goodbye is not None:
            server, headers = goodbye
            self._upstream.say_goodbye(server.number, headers)
        os._exit(0)

    def _said(self, event: Event) -> None:
        self._take(event)
        if not self._follows:
            # Not before the first answer: importing the client of the daemon takes longer than everything until then.
            self._follows = True
            self._link.follow()

    def _found(self, number: int, address: "Address") -> None:
        self._loop.post(lambda: self._upstream.add_server(number, address))

    def _take(self, event: Event) -> None:
        try:
            for action in self._conversation.receive(event, time.monotonic()):
                self._perform(action)
        except Exception:  # noqa: BLE001 (most clients never start a bridge again, so a defect must not end it)
            import traceback

            traceback.print_exc()

    def _perform(self, action: Action) -> None:
        match action:
            case SayToClient(text):
                self._output.line(text)
            case Send():
                self._upstream.send(action)
            case Abort(exchange):
                self._upstream.abort(exchange)
            case GiveUp(exchange):
                self._upstream.give_up(exchange)
            case AskForServer():
                self._link.ask()
            case ReleaseServer():
                self._link.release()
            case KeepCatalogue(version, content):
                self._files.write(version, content)
