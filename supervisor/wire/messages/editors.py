"""The methods of editors. All return a `common.EditorInfo`."""

from typing import Annotated, Literal

from ...values import frozen
from ..fields import Range
from .common import Name, Path, Pid

BUSY_TTL_S = 60.0


@frozen
class EditorAttach:
    """Attach an editor. `start_token` is the sender's view of the process.

    The request is refused if the daemon's view differs.
    """

    pid: Pid
    project: Path
    start_token: Name | None = None
    engine: Name | None = None
    engine_version: Name | None = None
    name: Name | None = None


@frozen
class EditorDetach:
    """Detach an editor. `stop`: its servers do not linger, because the editor will not come back."""

    editor: Name
    stop: bool = False


@frozen
class EditorState:
    """Set an editor's state. `busy` protects its servers from stops and restarts by others for `ttl_s` seconds.

    A repeated request extends that time. `reason` is text for people.
    """

    editor: Name
    state: Literal["ready", "busy"]
    reason: Name | None = None
    ttl_s: Annotated[float, Range(1, 3600)] = BUSY_TTL_S
