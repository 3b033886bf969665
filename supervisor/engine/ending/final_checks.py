"""The final checks before a foreign server gets its first signal, unless a user has named the server."""

from collections.abc import Sequence

from ...core.model import ServerRecord
from ...errors import NotOurs
from ...kinds.programs import is_command_of
from ..identification.adoption_marks import find_other_adoption_of_server
from ..state.context import EngineContext


def refuse_other_program(context: EngineContext, record: ServerRecord, command: Sequence[str]) -> None:
    """Refuse to stop a foreign server that has become another program.

    A process keeps its identity when it executes another program, so its command line has to fit the kind still.

    Raises:
        NotOurs: the command line does not fit.
    """
    if not is_command_of(context.kind_of(record), command):
        context.events.warn(
            "signal.refused",
            server=record.id,
            pid=record.process.pid if record.process else None,
            reason="its command line is not of the kind any more",
        )
        raise NotOurs(
            f"{record.id} is not recognised any more",
            hint="if you know it, stop it by its id: godot-supervisor down ID",
        )


def refuse_adopted_elsewhere(context: EngineContext, record: ServerRecord) -> None:
    """Refuse to stop a server that another home has adopted since the verdict.

    Raises:
        NotOurs: another home has adopted it, or that cannot be found out.
    """
    reason = find_other_adoption_of_server(context, record)
    if reason is not None:
        raise NotOurs(f"{record.id}: {reason}", hint="if you know it, stop it by its id: godot-supervisor down ID")
