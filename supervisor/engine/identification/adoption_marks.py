"""Adoption marks: a server that another home of the user has adopted is no orphan, as its owners are unknown here."""

from ...core.model import Origin, ProcessIdentity, ServerRecord
from ..state.context import EngineContext

BY_ANOTHER_HOME = "another godot-supervisor home has adopted it"
BY_THIS_HOME_EARLIER = "this home had adopted it before its registry was lost"


def find_other_adoption(context: EngineContext, process: ProcessIdentity, ours: bool = False) -> str | None:  # noqa: FBT001, FBT002 (for a lane)
    """Return why a foreign process may have owners that this home does not know, None if nothing says so. Blocks.

    `ours`: this home has a record that says that it has adopted the process.
    """
    try:
        homes = context.platform.marks.homes(process)
    except OSError as error:
        return f"the system does not say whether another home has adopted it: {error}"
    if homes - {context.home_id}:
        return BY_ANOTHER_HOME
    return BY_THIS_HOME_EARLIER if homes and not ours else None


def find_other_adoption_of_server(context: EngineContext, record: ServerRecord) -> str | None:
    """Return why the server of a record may have owners that this home does not know. Blocks.

    Return None if nothing says so, and for a server that this home has started.
    """
    if record.process is None or not record.foreign:
        return None
    return find_other_adoption(context, record.process, ours=record.origin is Origin.ADOPTED)


def keep_mark(context: EngineContext, record: ServerRecord, *, needed: bool) -> OSError | None:
    """Put or withdraw the mark of this home on a server that it has adopted. Blocks.

    `needed`: whether an owner or a lease of this home needs the server. A home that needs it no more withdraws its
    mark, because two homes that have adopted one server would wait for each other for ever.

    Returns:
        The error that kept the mark from being changed, None if the mark is as it should be.
    """
    if record.process is None or not record.foreign or record.origin is not Origin.ADOPTED:
        return None
    marks = context.platform.marks
    try:
        (marks.put if needed else marks.drop)(record.process, context.home_id)
    except OSError as error:
        return error
    return None
