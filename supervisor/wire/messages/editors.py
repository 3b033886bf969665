"""The verbs of editors. All answer with `common.EditorInfo`."""

from typing import Annotated, Literal

from ...values import frozen
from ..fields import Range
from .common import Name, Path, Pid

BUSY_TTL_S = 60.0


@frozen
class EditorAttach:
    """`start_token`: the sender's own idea of the process, refused where ours differs."""

    pid: Pid
    project: Path
    start_token: Name | None = None
    engine: Name | None = None
    engine_version: Name | None = None
    name: Name | None = None


@frozen
class EditorDetach:
    """`stop`: do not linger, the editor will not come back."""

    editor: Name
    stop: bool = False


@frozen
class EditorState:
    """`busy` protects its servers from others' stops and restarts for `ttl_s` seconds; repeat it to go on."""

    editor: Name
    state: Literal["ready", "busy"]
    reason: Name | None = None
    ttl_s: Annotated[float, Range(1, 3600)] = BUSY_TTL_S
