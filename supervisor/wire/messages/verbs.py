"""The verbs of the protocol: what each takes and what it answers with. What they do is in `control.methods`."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from . import daemon, editors, environments, leases, requests, servers, session, streams
from .common import EditorInfo, LeaseInfo, Server


class Call(NamedTuple):
    """The dataclasses of a verb's params and of its result."""

    params: type[Any]
    result: type[Any]


METHODS: Mapping[str, Call] = {
    "hello": Call(session.Hello, session.HelloResult),
    "ping": Call(session.Ping, session.PingResult),
    "editor.attach": Call(editors.EditorAttach, EditorInfo),
    "editor.detach": Call(editors.EditorDetach, EditorInfo),
    "editor.state": Call(editors.EditorState, EditorInfo),
    "server.ensure": Call(servers.ServerEnsure, Server),
    "server.adopt": Call(servers.ServerAdopt, Server),
    "server.list": Call(servers.ServerList, servers.ServerListResult),
    "server.get": Call(servers.ServerGet, Server),
    "server.history": Call(servers.ServerHistory, servers.ServerHistoryResult),
    "server.stop": Call(servers.ServerStop, Server),
    "server.restart": Call(servers.ServerRestart, Server),
    "server.release": Call(servers.ServerRelease, Server),
    "lease.acquire": Call(leases.LeaseAcquire, LeaseInfo),
    "lease.renew": Call(leases.LeaseRenew, LeaseInfo),
    "lease.release": Call(leases.LeaseRelease, LeaseInfo),
    "request.result": Call(requests.RequestResult, Server),
    "request.cancel": Call(requests.RequestCancel, requests.RequestCancelResult),
    "events.subscribe": Call(streams.EventsSubscribe, streams.EventsSubscribeResult),
    "logs.read": Call(streams.LogsRead, streams.LogsReadResult),
    "environments.list": Call(environments.EnvironmentsList, environments.EnvironmentsListResult),
    "environments.prune": Call(environments.EnvironmentsPrune, environments.EnvironmentsPruneResult),
    "status": Call(daemon.Status, daemon.StatusResult),
    "reap": Call(daemon.Reap, daemon.ReapResult),
    "ports.explain": Call(daemon.PortsExplain, daemon.PortsExplainResult),
    "daemon.reload": Call(daemon.DaemonReload, daemon.DaemonReloadResult),
    "daemon.shutdown": Call(daemon.DaemonShutdown, daemon.DaemonShutdownResult),
}
