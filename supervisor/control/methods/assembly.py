"""All methods of the protocol, put together from their handlers."""

from ...engine.attachments import Attachments
from ...engine.housekeeping import Housekeeping
from ...engine.logs.tail import LogTail
from ...engine.state.context import EngineContext
from ...engine.supervisor import Supervisor
from ..views import Views
from .daemon import About, DaemonMethods
from .editors import EditorMethods
from .environments import EnvironmentMethods
from .operations import OperationMethods
from .servers import ServerMethods
from .streams import EventMethods, LogMethods
from .table import MethodTable, table_of


def all_methods(
    supervisor: Supervisor,
    attachments: Attachments,
    context: EngineContext,
    views: Views,
    about: About,
    logs: LogTail,
    housekeeping: Housekeeping,
) -> MethodTable:
    """Return the table of every method of this version.

    Raises:
        ValueError: the protocol has a method without a handler, or a handler is declared for none of its methods.
    """
    daemon = DaemonMethods(supervisor, context, views, about)
    return table_of(
        daemon,
        EditorMethods(attachments, views),
        ServerMethods(supervisor, context, views),
        OperationMethods(supervisor, attachments, context, views),
        EnvironmentMethods(housekeeping, context),
        EventMethods(context.events, about.instance_id, daemon.status),
        LogMethods(logs),
    )
