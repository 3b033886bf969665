"""What other daemons of this user have adopted is no orphan of ours: their owners are not known here."""

from ...core.model import Origin, ProcessIdentity, ServerRecord
from ..state.context import EngineContext

ELSEWHERE = "another godot-supervisor home has adopted it"
BEFORE = "this home had adopted it before its registry was lost"


def claimed(context: EngineContext, process: ProcessIdentity, ours: bool = False) -> str | None:  # noqa: FBT001, FBT002 (for a lane)
    """Why a process that others started may be needed by owners that nobody here knows; None: nothing says so.

    `ours`: a row of this home has adopted it. Blocking.
    """
    try:
        homes = context.platform.marks.homes(process)
    except OSError as error:
        return f"it cannot be told whether another home has adopted it: {error}"
    if homes - {context.home_id}:
        return ELSEWHERE
    return BEFORE if homes and not ours else None


def claimed_beside(context: EngineContext, record: ServerRecord) -> str | None:
    """The same of a row. Blocking."""
    if record.process is None or not record.foreign:
        return None
    return claimed(context, record.process, ours=record.origin is Origin.ADOPTED)


def keep_mark(context: EngineContext, record: ServerRecord, *, needed: bool) -> OSError | None:
    """Tell the other homes whether an owner or a lease of ours needs what this home has adopted; the problem, if any.

    Two homes that have adopted one server would wait for each other for ever, so a home that needs it no more
    withdraws its mark. Blocking.
    """
    if record.process is None or not record.foreign or record.origin is not Origin.ADOPTED:
        return None
    marks = context.platform.marks
    try:
        (marks.put if needed else marks.drop)(record.process, context.home_id)
    except OSError as error:
        return error
    return None
