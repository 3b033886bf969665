"""All methods of the protocol, put together from their handlers."""

from ...engine.assembly import Engine
from ...engine.logs.reader import LogReader
from ..views import Views
from .clients import ClientMethods
from .daemon import About, DaemonMethods
from .editors import EditorMethods
from .environments import EnvironmentMethods
from .operations import OperationMethods
from .servers import ServerMethods
from .streams import EventMethods, LogMethods
from .table import MethodTable, table_of


def all_methods(engine: Engine, views: Views, about: About, logs: LogReader) -> MethodTable:
    """Return the table of every method of this version.

    Raises:
        ValueError: the protocol has a method without a handler, or a handler is declared for none of its methods.
    """
    context = engine.context
    daemon = DaemonMethods(engine.supervisor, engine.inspector, context, views, about)
    return table_of(
        daemon,
        EditorMethods(engine.attachments, views),
        ClientMethods(engine.attachments, engine.ai_clients, views),
        ServerMethods(engine.inspector, context, views),
        OperationMethods(engine.supervisor, engine.requests, engine.attachments, context, views),
        EnvironmentMethods(engine.housekeeping, context),
        EventMethods(context.events, engine.call_changes, about.instance_id, daemon.status),
        LogMethods(logs),
    )
