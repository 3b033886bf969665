"""AI clients and their tool calls, as an MCP bridge tells of them on a connection that it keeps open.

The end of that connection ends the calls that were begun on it.
"""

from typing import Annotated

from ...errors import InvalidParams
from ...values import frozen
from ..fields import Length, Range
from .common import Name, Path, Pid

CallNumber = Annotated[int, Range(0, 2**53)]
Count = Annotated[int, Range(0, 2**53)]
Milliseconds = Annotated[float, Range(0, 1e12)]

REPORTED_CALLS = 256
"""How many running calls one message may report."""


@frozen
class Introduction:
    """What an AI client says of itself in its `clientInfo`."""

    name: Name
    version: Annotated[str, Length(0, 256)] = ""
    title: Name | None = None


@frozen
class RunningCall:
    """A tool call that runs. `call` is the sender's number for it. `gated`: it was begun with `call.begin`."""

    call: CallNumber
    server: Name
    tool: Name
    editor_pid: Pid | None = None
    elapsed_ms: Milliseconds = 0.0
    gated: bool = False


@frozen
class ClientAttach:
    """Introduce an AI client on this connection. `pid` is the process of its MCP bridge.

    After a lost connection, `calls` and `running` say what the next daemon would not know otherwise.
    """

    pid: Pid
    client: Introduction
    start_token: Name | None = None
    project: Path | None = None
    calls: Count = 0
    running: tuple[RunningCall, ...] = ()

    def __post_init__(self) -> None:
        _check_number(self.running)


@frozen
class CallReport:
    """Tell which calls run that were not begun with `call.begin`. `calls` is the number of all calls so far.

    A report replaces the one before. It is for people, so one a second is enough.
    """

    calls: Count
    running: tuple[RunningCall, ...] = ()

    def __post_init__(self) -> None:
        _check_number(self.running)


@frozen
class CallReportResult:
    """No fields."""


@frozen
class CallBegin:
    """Ask to make a tool call. The answer is sent when the call may be made.

    `call` is a number of the sender's choice, which no other running call of this connection has. `editor_pid` is the
    editor that the call reaches, if that is known. A call with `read_only` passes every gate.
    """

    server: Name
    call: CallNumber
    tool: Name
    editor_pid: Pid | None = None
    read_only: bool = False


@frozen
class CallBeginResult:
    """The call may be made. `call.end` has to follow. `waited_ms`: how long it has waited for others."""

    waited_ms: int


@frozen
class CallEnd:
    """Tell that a call has ended. One that still waits is cancelled."""

    call: CallNumber


@frozen
class CallEndResult:
    """`ran_ms`: how long the call ran, or waited."""

    ran_ms: int


def _check_number(running: tuple[RunningCall, ...]) -> None:
    if len(running) > REPORTED_CALLS:
        raise InvalidParams("running", f"expected at most {REPORTED_CALLS} of them, got {len(running)}")
