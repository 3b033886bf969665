"""The params in the table of methods in docs/protocol.md."""

from dataclasses import fields as fields_of
from typing import Any

import pytest

from supervisor.errors import InvalidParams
from supervisor.wire import fields
from supervisor.wire.messages.clients import Introduction
from supervisor.wire.messages.common import AiClientInfo, EditorInfo, Server
from supervisor.wire.messages.daemon import DaemonShutdown, PortsExplain, Reap, Status, StatusResult
from supervisor.wire.messages.editors import EditorAttach, EditorDetach
from supervisor.wire.messages.servers import OwnerClaim, ServerEnsure, ServerGet, ServerList, ServerStop
from supervisor.wire.messages.session import Hello, HelloResult, Ping

CLIENT = {"name": "plugin", "version": "1"}

LEAST: list[tuple[type[Any], dict[str, Any]]] = [
    (Hello, {"protocol": 1, "client": CLIENT}),
    (Ping, {}),
    (EditorAttach, {"pid": 4, "project": "/games/one"}),
    (EditorDetach, {"editor": "one-1"}),
    (ServerEnsure, {"kind": "godot-ai"}),
    (ServerList, {}),
    (ServerGet, {"server": "godot-ai"}),
    (ServerStop, {"server": "godot-ai"}),
    (Status, {}),
    (Reap, {"dry_run": True}),
    (PortsExplain, {"kind": "godot-ai"}),
    (PortsExplain, {"ports": [8000]}),
    (DaemonShutdown, {"servers": False}),
]


@pytest.mark.parametrize(("cls", "least"), LEAST)
def test_the_least_params_suffice_and_none_of_them_is_superfluous(cls: type[Any], least: dict[str, Any]) -> None:
    fields.decode(cls, least)
    for name in least:
        with pytest.raises(InvalidParams) as caught:
            fields.decode(cls, {key: value for key, value in least.items() if key != name})
        assert caught.value.field in {name, "kind"}


def test_ensure_takes_every_field_of_the_table() -> None:
    client = {"name": "claude-code", "version": "2.1.0", "title": None}
    owner = {"pid": 7, "start_token": "b:9", "project": "/games/one", "client": client}
    wanted = {
        "kind": "godot-ai",
        "owner": owner,
        "project": "/games/one",
        "engine_version": "4.6",
        "version": "4.3.1",
        "ports": {"http": 8000},
        "request": "mine-1",
    }
    ensure = fields.decode(ServerEnsure, wanted)
    assert ensure.owner == OwnerClaim(7, "b:9", "/games/one", Introduction("claude-code", "2.1.0"))
    assert fields.encode(ensure) == {**wanted, "editor": None}


@pytest.mark.parametrize(
    ("cls", "params", "field"),
    [
        (ServerEnsure, {"kind": "k", "editor": "e", "owner": {"pid": 1}}, "owner"),
        (ServerEnsure, {"kind": ""}, "kind"),
        (ServerEnsure, {"kind": "k", "owner": {"pid": 0}}, "owner.pid"),
        (ServerEnsure, {"kind": "k", "owner": {"pid": -1}}, "owner.pid"),
        (ServerEnsure, {"kind": "k", "ports": {"http": 0}}, "ports.http"),
        (ServerEnsure, {"kind": "k", "ports": {"http": 65536}}, "ports.http"),
        (EditorAttach, {"pid": 2**40, "project": "/p"}, "pid"),
        (EditorAttach, {"pid": 1, "project": "p" * 4097}, "project"),
        (PortsExplain, {}, "kind"),
        (PortsExplain, {"kind": "k", "ports": [8000]}, "kind"),
        (PortsExplain, {"ports": []}, "ports"),
        (PortsExplain, {"ports": [8000] * 257}, "ports"),
        (PortsExplain, {"ports": [8000, 0]}, "ports[1]"),
    ],
)
def test_what_cannot_be_is_refused_by_name(cls: type[Any], params: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        fields.decode(cls, params)
    assert caught.value.field == field


def test_a_token_stays_out_of_reprs() -> None:
    assert "s3cret" not in repr(fields.decode(Hello, {"protocol": 1, "client": CLIENT, "token": "s3cret"}))


@pytest.mark.parametrize(
    ("cls", "names"),
    [
        (
            Server,
            """id kind version project state origin process root_pid ports url connect owners sessions leases restarts
            since relocated failure reap log until_stopped relocated_more version_source version_why
            notes recipe_changes by_client bridges bearer gate pin calls calls_more""",
        ),
        (EditorInfo, "id pid started_at project engine engine_version name liveness state busy servers"),
        (
            AiClientInfo,
            "id pid name version title project since liveness connected servers calls running running_more",
        ),
        (HelloResult, "protocol instance_id version capabilities"),
        (StatusResult, "daemon editors servers orphans left_out clients"),
    ],
)
def test_results_have_the_fields_of_the_contract(cls: type[Any], names: str) -> None:
    assert [field.name for field in fields_of(cls)] == names.split()
