"""The values of tool calls in the engine: who makes one, a new one, and one that is tracked."""

from dataclasses import dataclass

from ....core.tool_calls import ReachedEditor
from ....values import frozen


@dataclass(eq=False)
class CallMaker:
    """A connection that makes tool calls. `name` is for people.

    `client` is the id of its AI client, None until it has introduced itself. `calls` is the number of all calls so far.
    """

    name: str
    client: str | None = None
    pid: int | None = None
    project: str | None = None
    calls: int = 0

    @property
    def id_or_name(self) -> str:
        """The id of its AI client, else its name."""
        return self.client or self.name


@frozen
class NewCall:
    """A call that is about to be made, or that runs already. `own_number` is its maker's number for it."""

    own_number: int
    server: str
    tool: str
    editor_pid: int | None = None
    read_only: bool = False
    elapsed_s: float = 0.0


@frozen
class TrackedCall:
    """A call that runs or waits. `number` is the daemon's. `since` is wall time, `began` monotonic, seconds.

    `told`: an event has told of its begin, so another one tells of its end.
    """

    number: int
    own_number: int
    maker: CallMaker
    server: str
    tool: str
    reached: ReachedEditor
    gated: bool
    since: float
    began: float
    waits: bool = False
    told: bool = False
