"""Tells the daemon who the client is and which calls run, and asks it to admit calls, on a connection that stays open.

Everything but `connect` runs in the loop.
"""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ...native.startup.own_identity import own_process
from ..core.events_and_actions import (
    NEVER,
    BeginCall,
    CallAdmitted,
    CallRefused,
    EndCall,
    Event,
    IntroduceClient,
    Problem,
)
from .loop import READ, WRITE, Loop

if TYPE_CHECKING:
    from ...client.client import Client
    from ...client.polled import DaemonReply, PolledConnection

REPORT_DELAY_S = 0.2
REPORT_PAUSE_S = 1.0
"""A call that passes no gate is reported so much later, and reports are so far apart."""

RECONNECT_PAUSE_S = 0.1
"""The pause before a connection that has ended is made anew for calls that wait: the next one may end as fast."""

RUNNING_MAX = 256
"""How many calls one message tells of."""

Json = Mapping[str, Any]


class _Call:
    """A call that has begun. `is_admitted`: it runs, and does not wait for the daemon."""

    def __init__(self, action: BeginCall, server: str) -> None:
        self.action = action
        self.server = server
        self.began = time.monotonic()
        self.is_admitted = not action.needs_admission

    def params(self) -> dict[str, Any]:
        """Return what a `call.begin` says of the call."""
        call, _, tool, editor_pid, _ = self.action
        shown = {"call": call, "server": self.server, "tool": tool}
        return shown | ({} if editor_pid is None else {"editor_pid": editor_pid})


class CallLink:
    """Tells the daemon of the calls of this process.

    `connect` returns a client of the daemon, and may start a daemon; it is called in a thread. `post` takes events for
    the conversation. `project` returns the project of this process.
    """

    def __init__(
        self,
        loop: Loop,
        connect: Callable[[bool], "Client"],
        post: Callable[[Event], None],
        project: Callable[[], str | None],
    ) -> None:
        self._loop = loop
        self._connect = connect
        self._post = post
        self._project = project
        self._client: IntroduceClient | None = None
        self._names: dict[int, str] = {}
        """The ids of servers in the daemon, by number."""
        self._calls: dict[int, _Call] = {}
        self._count = 0
        """How many calls have begun so far, without those that were refused."""
        self._is_connecting = False
        self._connection: PolledConnection | None = None
        self._watched = READ
        self._asked: dict[object, tuple[str, int]] = {}
        """The method of each request that was not answered, and the call that it is about."""
        self._is_report_due = False
        self._report_at = 0.0

    # --- what the conversation says ---

    def perform(self, action: IntroduceClient | BeginCall | EndCall) -> None:
        """Tell the daemon."""
        match action:
            case IntroduceClient():
                self._client = action
                self.introduce()
            case BeginCall():
                self._begin(action)
            case EndCall(number):
                self._end(number)

    def set_server(self, number: int, name: str) -> None:
        """Set the id of the server of this number in the daemon."""
        self._names[number] = name

    def introduce(self, *, with_project: bool = True) -> None:
        """Tell the daemon who the client is, and which calls run. Called again when the project is another one."""
        if self._connection is None or self._client is None:
            return
        name, version, title = self._client
        client = {"name": name, "version": version} | ({} if title is None else {"title": title})
        running = [call for call in self._calls.values() if call.is_admitted][:RUNNING_MAX]
        project = self._project() if with_project else None
        self._ask(
            "client.attach",
            {
                **own_process(),
                "client": client,
                "calls": self._count,
                "running": [self._running(call) for call in running],
                **({} if project is None else {"project": project}),
            },
        )

    def _begin(self, action: BeginCall) -> None:
        call = self._calls[action.call] = _Call(action, self._names.get(action.server, "?"))
        self._count += 1
        if not action.needs_admission:
            self._report_soon()
        elif self._connection is not None:
            self._ask("call.begin", call.params(), action.call)
        else:
            self.open(starting=True)

    def _end(self, number: int) -> None:
        call = self._calls.pop(number, None)
        if call is None:
            return
        if not call.action.needs_admission:
            self._report_soon()
        elif self._connection is not None:
            self._ask("call.end", {"call": number})

    # --- reports ---

    @property
    def deadline(self) -> float:
        """Return the monotonic time at which a report is due."""
        return self._report_at if self._is_report_due and self._connection is not None else NEVER

    def report_if_due(self) -> None:
        """Report the calls that pass no gate, if that is due."""
        now = time.monotonic()
        if now < self.deadline:
            return
        self._is_report_due, self._report_at = False, now + REPORT_PAUSE_S
        running = [call for call in self._calls.values() if not call.action.needs_admission][:RUNNING_MAX]
        self._ask("call.report", {"calls": self._count, "running": [self._running(call) for call in running]})

    def _report_soon(self) -> None:
        if not self._is_report_due:
            self._is_report_due = True
            self._report_at = max(self._report_at, time.monotonic() + REPORT_DELAY_S)

    def _running(self, call: _Call) -> Json:
        elapsed_ms = round((time.monotonic() - call.began) * 1000)
        return {**call.params(), "elapsed_ms": elapsed_ms, "gated": call.action.needs_admission}

    # --- the connection ---

    def open(self, *, starting: bool = False, pause_s: float = 0.0) -> None:
        """Connect after a pause, unless there is a connection. `starting`: start the daemon if none runs."""
        if self._connection is None and not self._is_connecting:
            import threading

            self._is_connecting = True
            how = {"starting": starting, "pause_s": pause_s}
            threading.Thread(target=self._open, kwargs=how, daemon=True).start()

    def _open(self, *, starting: bool, pause_s: float) -> None:
        """Connect, in a thread."""
        time.sleep(pause_s)
        from ...client.polled import PolledConnection
        from ...errors import SupervisorError
        from .daemon_rows import problem_from

        try:
            connection = PolledConnection(self._connect(starting).detach())
        except SupervisorError as error:
            problem = problem_from(error)
        except Exception as defect:  # noqa: BLE001 (the calls that wait must be answered)
            problem = Problem("INTERNAL", f"{type(defect).__name__}: {defect}", fault="daemon", retryable=True)
        else:
            self._loop.post(lambda: self._on_connected(connection))
            return
        self._loop.post(lambda: self._on_failed(problem))

    def _on_connected(self, connection: "PolledConnection") -> None:
        self._is_connecting = False
        self._connection = connection
        self._watched = READ
        self._loop.watch(connection.socket, READ, self._on_ready)
        self.introduce()
        for number, call in list(self._calls.items()):
            if not call.is_admitted:
                self._ask("call.begin", call.params(), number)

    def _on_failed(self, problem: Problem) -> None:
        """Refuse the calls that wait for a daemon. The conversation asks again if that may help."""
        self._is_connecting = False
        for number, call in list(self._calls.items()):
            if not call.is_admitted:
                self._refuse(number, problem)

    def _on_lost(self) -> None:
        """Forget a connection that has ended. What was asked on it is asked again on the next one."""
        if self._connection is not None:
            self._loop.forget(self._connection.socket)
            self._connection.close()
            self._connection = None
        self._asked.clear()
        if any(not call.is_admitted for call in self._calls.values()):
            self.open(starting=True, pause_s=RECONNECT_PAUSE_S)

    def _ask(self, method: str, params: Json, number: int = 0) -> None:
        """Send a request, if there is a connection. `number` is the call that its answer is about."""
        if self._connection is None:
            return
        try:
            self._asked[self._connection.ask(method, params)] = (method, number)
        except ConnectionError:
            self._on_lost()
        else:
            self._watch(self._connection)

    def _watch(self, connection: "PolledConnection") -> None:
        wanted = READ | WRITE if connection.has_unsent else READ
        if wanted != self._watched:
            self._watched = wanted
            self._loop.watch(connection.socket, wanted, self._on_ready)

    def _on_ready(self, events: int) -> None:
        connection = self._connection
        if connection is None:
            return
        try:
            if events & WRITE:
                connection.flush()
                self._watch(connection)
            answers = connection.receive() if events & READ else []
        except ConnectionError:
            self._on_lost()
            return
        for answer in answers:
            self._handle(answer)

    def _handle(self, answer: "DaemonReply") -> None:
        from .daemon_rows import problem_from

        method, number = self._asked.pop(answer.id, ("", 0))
        call = self._calls.get(number)
        if answer.problem is not None:
            if call is not None:
                self._refuse(number, problem_from(answer.problem))
            elif method == "client.attach" and answer.problem.data.get("field") == "project":
                self.introduce(with_project=False)
        elif call is not None and not call.is_admitted:
            call.is_admitted, call.began = True, time.monotonic()
            self._post(CallAdmitted(number))

    def _refuse(self, number: int, problem: Problem) -> None:
        del self._calls[number]
        self._count -= 1
        self._post(CallRefused(number, problem))
