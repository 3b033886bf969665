"""The methods of the protocol with their messages. Their handlers are in `control.methods`."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from . import clients, daemon, editors, environments, leases, requests, servers, session, streams
from .common import AiClientInfo, EditorInfo, LeaseInfo, Server


class MethodTypes(NamedTuple):
    """The dataclasses of a method's params and result."""

    params: type[Any]
    result: type[Any]


METHODS: Mapping[str, MethodTypes] = {
    "hello": MethodTypes(session.Hello, session.HelloResult),
    "ping": MethodTypes(session.Ping, session.PingResult),
    "editor.attach": MethodTypes(editors.EditorAttach, EditorInfo),
    "editor.detach": MethodTypes(editors.EditorDetach, EditorInfo),
    "editor.state": MethodTypes(editors.EditorState, EditorInfo),
    "client.attach": MethodTypes(clients.ClientAttach, AiClientInfo),
    "call.begin": MethodTypes(clients.CallBegin, clients.CallBeginResult),
    "call.end": MethodTypes(clients.CallEnd, clients.CallEndResult),
    "call.report": MethodTypes(clients.CallReport, clients.CallReportResult),
    "server.ensure": MethodTypes(servers.ServerEnsure, Server),
    "server.adopt": MethodTypes(servers.ServerAdopt, Server),
    "server.list": MethodTypes(servers.ServerList, servers.ServerListResult),
    "server.get": MethodTypes(servers.ServerGet, Server),
    "server.history": MethodTypes(servers.ServerHistory, servers.ServerHistoryResult),
    "server.stop": MethodTypes(servers.ServerStop, Server),
    "server.restart": MethodTypes(servers.ServerRestart, Server),
    "server.release": MethodTypes(servers.ServerRelease, Server),
    "lease.acquire": MethodTypes(leases.LeaseAcquire, LeaseInfo),
    "lease.renew": MethodTypes(leases.LeaseRenew, LeaseInfo),
    "lease.release": MethodTypes(leases.LeaseRelease, LeaseInfo),
    "request.result": MethodTypes(requests.RequestResult, Server),
    "request.cancel": MethodTypes(requests.RequestCancel, requests.RequestCancelResult),
    "events.subscribe": MethodTypes(streams.EventsSubscribe, streams.EventsSubscribeResult),
    "logs.read": MethodTypes(streams.LogsRead, streams.LogsReadResult),
    "environments.list": MethodTypes(environments.EnvironmentsList, environments.EnvironmentsListResult),
    "environments.prune": MethodTypes(environments.EnvironmentsPrune, environments.EnvironmentsPruneResult),
    "status": MethodTypes(daemon.Status, daemon.StatusResult),
    "reap": MethodTypes(daemon.Reap, daemon.ReapResult),
    "ports.explain": MethodTypes(daemon.PortsExplain, daemon.PortsExplainResult),
    "daemon.reload": MethodTypes(daemon.DaemonReload, daemon.DaemonReloadResult),
    "daemon.shutdown": MethodTypes(daemon.DaemonShutdown, daemon.DaemonShutdownResult),
}
