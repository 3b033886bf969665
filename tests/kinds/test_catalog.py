from datetime import date
from typing import Any

import pytest

from supervisor.core.model import Topology
from supervisor.errors import ConfigInvalid, KindUnknown
from supervisor.kinds.catalog import Catalog
from supervisor.kinds.kind import Addon, IdentifyRule, PinRule, PortRange, ReadyRule, Secret, SessionRoute

MINE: dict[str, Any] = {"command": ["my-server", "--port", "{http}"], "ports": {"http": "8100-8119"}}


def build(**changes: Any) -> Any:
    return Catalog.build({"mine": {**MINE, **changes}}).get("mine")


def test_the_example_of_the_protocol_is_a_kind() -> None:
    mine = build(
        env={"MY_OWNER": "{owner_pid}"},
        identify={"http": "/health", "match": {"name": "my-server"}, "version": "version"},
        sessions={"tcp": "http"},
        topology="per-editor",
        grace_s=5,
    )
    assert mine.topology is Topology.PER_EDITOR
    assert mine.ports == {"http": PortRange(8100, 8119)}
    assert mine.identify == IdentifyRule("/health", "http", {"name": "my-server"}, "version")
    assert mine.sessions == "http"
    assert mine.env == {"MY_OWNER": "{owner_pid}"}
    assert (mine.grace_s, mine.linger_s, mine.stop_timeout_s) == (5.0, 15.0, 10.0)
    assert (mine.ready_timeout_s, mine.idle_s, mine.health_interval_s) == (30.0, 0.0, 0.0)


def test_a_command_is_all_that_a_kind_needs() -> None:
    assert Catalog.build({"mine": {"command": ["x"]}}).get("mine").ports == {}


def test_a_single_port_is_a_range_of_one() -> None:
    assert build(ports={"http": 8100}).ports == {"http": PortRange(8100, 8100)}


def test_identification_asks_on_the_first_port_by_default() -> None:
    ports = {"http": 8100, "admin": 8200}
    assert build(ports=ports, identify={"http": "/"}).identify.port == "http"
    assert build(ports=ports, identify={"http": "/", "port": "admin"}).identify.port == "admin"


def test_match_takes_every_value_of_json_by_its_path() -> None:
    match = {"name": "x", "ok": True, "protocol": 2, "info": {"tags": ["a"]}, "info.name": "y"}
    identify = build(identify={"http": "/", "match": match, "null": ["error"]}).identify
    assert identify.match == {"name": "x", "ok": True, "protocol": 2, "info.tags": ["a"], "info.name": "y"}
    assert identify.null == ("error",)


def test_ready_is_a_route_or_some_of_the_ports() -> None:
    ports = {"http": 8100, "admin": 8200}
    assert build(ports=ports, ready={"tcp": "http"}).ready == ReadyRule(("http",))
    assert build(ports=ports, ready={"tcp": ["http", "admin"]}).ready == ReadyRule(("http", "admin"))
    told = {"http": "/live", "status": [200, 401], "timeout_s": 5}
    assert build(ports=ports, ready=told).ready == ReadyRule(("http", "admin"), "/live", "http", (200, 401), 5.0)
    told = {"http": "/live", "tcp": "http", "port": "admin", "status": 204}
    assert build(ports=ports, ready=told).ready == ReadyRule(("http", "admin"), "/live", "admin", (204,))
    assert build().ready is None


def test_the_input_of_a_server_is_closed_by_default() -> None:
    assert build().stdin == "closed"
    assert build(stdin="open").stdin == "open"


def test_pin_says_where_the_editors_are_listed() -> None:
    listed = {"resource": "x://sessions"}
    assert build().pin is None
    assert build(pin=False).pin is None
    assert build(pin={"argument": "editor", "list": listed}).pin == PinRule(
        "editor", "sessions", "editor", "project_path", resource="x://sessions"
    )
    listed = {
        "tool": "list",
        "arguments": {"op": "all"},
        "sessions": "open",
        "id": "id",
        "project": "path",
        "pid": "pid",
        "active": "now",
    }
    assert build(pin={"argument": "editor", "list": listed, "unknown": "who?", "exempt": ["a"]}).pin == PinRule(
        "editor", "open", "id", "path", "pid", "now", "list", {"op": "all"}, None, "who?", ("a",)
    )


def test_calls_run_side_by_side_by_default() -> None:
    assert build().gate == "off"
    assert build(gate="serialize").gate == "serialize"


def test_sessions_are_connections_on_a_port_or_counted_by_a_route() -> None:
    ports = {"http": 8100, "admin": 8200}
    told = {"http": "/sessions", "count": "open"}
    assert build(ports=ports, sessions=told).sessions == SessionRoute("/sessions", "http", "open")
    assert build(ports=ports, sessions={**told, "port": "admin"}).sessions == SessionRoute("/sessions", "admin", "open")
    assert build(sessions={}).sessions is None


def test_a_users_table_overrides_a_built_in_kind_key_by_key() -> None:
    plain = Catalog.build({}).get("godot-ai")
    changed = Catalog.build({"godot-ai": {"version": "4.3.1", "env": {"MORE": "1"}, "ports": {"http": "9000-9019"}}})
    kind = changed.get("godot-ai")
    assert kind.version == "4.3.1"
    assert kind.env == {**plain.env, "MORE": "1"}
    assert kind.ports == {"http": PortRange(9000, 9019), "ws": PortRange(9500, 9519)}
    assert kind.command == plain.command


def test_an_addon_is_a_file_in_the_project_and_an_entry_of_it() -> None:
    table = {"file": "addons/.mine/plugin.cfg", "version": "plugin/version"}
    assert build(addon=table).addon == Addon("addons/.mine/plugin.cfg", "plugin", "version")
    assert build(addon={**table, "version": "a/b/c"}).addon == Addon("addons/.mine/plugin.cfg", "a/b", "c")
    assert build().addon is None
    assert Catalog.build({}).get("godot-ai").addon == Addon("addons/godot_ai/plugin.cfg", "plugin", "version")


@pytest.mark.parametrize(
    ("written", "version"),
    [
        ("4.3", "4.3"),
        ("v4.3.1", "4.3.1"),
        ("4.3.1.post0", "4.3.1.post0"),
        ("4.3.1+Mine", "4.3.1+mine"),
        ("1!4.3", "1!4.3"),
        ("4.3.1-RC1", "4.3.1rc1"),
        ("2026.10.20.1", "2026.10.20.1"),
        ("4.3.1-mine", "4.3.1-mine"),
    ],
)
def test_a_version_is_written_in_any_form_of_pep_440(written: str, version: str) -> None:
    kind = build(package="mine", version=written, engine={"<4.7": written})
    assert (kind.version, kind.engine) == (version, {"<4.7": version})


def test_built_in_recipes_give_a_slow_machine_time_to_start() -> None:
    catalog = Catalog.build({})
    assert [catalog.get(name).ready_timeout_s for name in ("godot-ai", "unity-mcp")] == [120.0, 120.0]


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    known = sorted(["mine", *Catalog.build({}).names()])
    with pytest.raises(KindUnknown) as caught:
        Catalog.build({"mine": MINE}).get("godotai")
    assert ", ".join(known) in (caught.value.hint or "")
    assert caught.value.data == {"known": known}


def test_secrets_and_their_record() -> None:
    kind = build(
        record="{config_dir}/mine/{http}.json",
        secrets={"TOKEN": {"format": "token", "recorded_as": "t", "versions": ">=2"}, "KEY": {"format": "hex"}},
        identify={"http": "/", "bearer": "TOKEN"},
    )
    assert kind.secrets == (Secret("TOKEN", "token", "t", ">=2"), Secret("KEY", "hex"))
    assert kind.record == "{config_dir}/mine/{http}.json"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"comand": []}, "comand"),
        ({"command": []}, "command"),
        ({"command": [""]}, "command"),
        ({"command": "my-server"}, "command"),
        ({"command": ["x", 1]}, "command"),
        ({"command": ["x", "{htpp}"]}, "command"),
        ({"command": ["x", "{owner_pid}"]}, "command"),
        ({"command": ["{python}"]}, "command"),
        ({"command": ["x", "{project}"]}, "command"),
        ({"command": ["x", "{http"]}, "command"),
        ({"connect": ["x", "{config_dir}"]}, "connect"),
        ({"url": "http://127.0.0.1:{ws}/"}, "url"),
        ({"url": 1}, "url"),
        ({"record": "{nowhere}/x"}, "record"),
        ({"env": {"A": "{nobody}"}}, "env.A"),
        ({"env": {"A": 1}}, "env.A"),
        ({"env": {"A=B": "1"}}, "env.A=B"),
        ({"env": []}, "env"),
        ({"scrub": ["*"]}, "scrub"),
        ({"scrub": "A"}, "scrub"),
        ({"ports": {"http": "8119-8100"}}, "ports.http"),
        ({"ports": {"http": 0}}, "ports.http"),
        ({"ports": {"http": True}}, "ports.http"),
        ({"ports": {"http": "8100-8119", "ws": "9100-9118"}}, "ports.ws"),
        ({"ports": {"http": "8100-8119", "ws": "8119-8138"}}, "ports.ws"),
        ({"ports": {"http": 8100, "project": 8101}}, "ports.project"),
        ({"topology": "each"}, "topology"),
        ({"topology": ["shared"]}, "topology"),
        ({"grace_s": -1}, "grace_s"),
        ({"linger_s": "15"}, "linger_s"),
        ({"idle_s": True}, "idle_s"),
        ({"stop_timeout_s": float("nan")}, "stop_timeout_s"),
        ({"ready_timeout_s": 0}, "ready_timeout_s"),
        ({"identify": {"match": {}}}, "identify.http"),
        ({"identify": {"http": "health"}}, "identify.http"),
        ({"identify": {"http": "/ HTTP/1.1\r\nX: y"}}, "identify.http"),
        ({"identify": {"http": "/", "port": "ws"}}, "identify.port"),
        ({"identify": {"http": "/", "match": {"a": date(2026, 1, 1)}}}, "identify.match"),
        ({"identify": {"http": "/", "match": {"a..b": "x"}}}, "identify.match"),
        ({"identify": {"http": "/", "version": "a."}}, "identify.version"),
        ({"identify": {"http": "/", "null": [""]}}, "identify.null"),
        ({"identify": {"http": "/", "bearer": "TOKEN"}}, "identify.bearer"),
        ({"identify": {"http": "/", "method": "POST"}}, "identify.method"),
        ({"ports": {}, "command": ["x"], "identify": {"http": "/"}}, "identify.port"),
        ({"ready": {}}, "ready"),
        ({"ready": {"tcp": "ws"}}, "ready.tcp"),
        ({"ready": {"tcp": []}}, "ready.tcp"),
        ({"ready": {"tcp": True}}, "ready.tcp"),
        ({"ready": {"status": 200}}, "ready.status"),
        ({"ready": {"http": "/", "status": 99}}, "ready.status"),
        ({"ready": {"http": "/", "status": "200"}}, "ready.status"),
        ({"ready": {"http": "/", "port": "ws"}}, "ready.port"),
        ({"ready": {"http": "/", "timeout_s": -1}}, "ready.timeout_s"),
        ({"ready": {"url": "/"}}, "ready.url"),
        ({"stdin": "tty"}, "stdin"),
        ({"gate": "on"}, "gate"),
        ({"gate": True}, "gate"),
        ({"pin": "editor"}, "pin"),
        ({"pin": True}, "pin"),
        ({"pin": {"list": {"tool": "a"}}}, "pin.argument"),
        ({"pin": {"argument": "a"}}, "pin.list"),
        ({"pin": {"argument": "a", "list": {"tool": "a", "resource": "x://y"}}}, "pin.list"),
        ({"pin": {"argument": "a", "list": {"resource": "x://y", "arguments": {}}}}, "pin.list.arguments"),
        ({"pin": {"argument": "a", "list": {"tool": "a", "arguments": {"b": 1}}}}, "pin.list.arguments.b"),
        ({"pin": {"argument": "a", "list": {"tool": "a", "pid": 1}}}, "pin.list.pid"),
        ({"pin": {"argument": "a", "list": {"tool": "a"}, "exempt": "a"}}, "pin.exempt"),
        ({"pin": {"argument": "a", "list": {"tool": "a"}, "unkown": "a"}}, "pin.unkown"),
        ({"sessions": {"tcp": "ws"}}, "sessions.tcp"),
        ({"sessions": {"udp": "http"}}, "sessions.udp"),
        ({"sessions": {"http": "sessions", "count": "open"}}, "sessions.http"),
        ({"sessions": {"http": "/sessions"}}, "sessions.count"),
        ({"sessions": {"count": "open"}}, "sessions.count"),
        ({"sessions": {"port": "http"}}, "sessions.port"),
        ({"sessions": {"http": "/", "count": "open", "port": "ws"}}, "sessions.port"),
        ({"sessions": {"http": "/", "count": "open", "tcp": "http"}}, "sessions.tcp"),
        ({"ports": {}, "command": ["x"], "sessions": {"http": "/", "count": "open"}}, "sessions.port"),
        ({"defaults": {"A": 1}}, "defaults.A"),
        ({"defaults": {"A B": "1"}}, "defaults.A B"),
        ({"package": "mine==1"}, "package"),
        ({"package": "mine"}, "version"),
        ({"package": "mine", "version": "latest"}, "version"),
        ({"version": 4}, "version"),
        ({"engine": {"4.7": "1.0"}}, "engine"),
        ({"engine": {"<4.7": "newest"}}, 'engine."<4.7"'),
        ({"secrets": {"TOKEN": {"format": "md5"}}}, "secrets.TOKEN.format"),
        ({"secrets": {"TOKEN": {}}}, "secrets.TOKEN.format"),
        ({"secrets": {"TOKEN": {"format": "hex", "recorded_as": "t"}}}, "secrets.TOKEN.recorded_as"),
        ({"secrets": {"TOKEN": {"format": "hex", "versions": "4"}}}, "secrets.TOKEN.versions"),
        ({"secrets": {"A B": {"format": "hex"}}}, "secrets.A B"),
        ({"secrets": {"TOKEN": "x"}}, "secrets.TOKEN"),
        ({"record_dir_variable": "A-B"}, "record_dir_variable"),
        ({"identify": {"http": "/", "versions": "2"}}, "identify.versions"),
        ({"addon": {"file": "a.cfg"}}, "addon.version"),
        ({"addon": {"version": "plugin/version"}}, "addon.file"),
        ({"addon": {"file": "/etc/passwd", "version": "plugin/version"}}, "addon.file"),
        ({"addon": {"file": "../a.cfg", "version": "plugin/version"}}, "addon.file"),
        ({"addon": {"file": "a/../../a.cfg", "version": "plugin/version"}}, "addon.file"),
        ({"addon": {"file": "a//b.cfg", "version": "plugin/version"}}, "addon.file"),
        ({"addon": {"file": "a\\b.cfg", "version": "plugin/version"}}, "addon.file"),
        ({"addon": {"file": "c:a.cfg", "version": "plugin/version"}}, "addon.file"),
        ({"addon": {"file": "a.cfg", "version": "version"}}, "addon.version"),
        ({"addon": {"file": "a.cfg", "version": "plugin/"}}, "addon.version"),
        ({"addon": "a.cfg"}, "addon"),
        ({"identify": {"http": "/", "leases_versions": "new"}}, "identify.leases_versions"),
        ({"connect": ["x"], "connect_versions": ">3 or so"}, "connect_versions"),
    ],
)
def test_a_mistake_is_named_with_its_key_and_its_fix(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        build(**changes)
    assert caught.value.message.startswith(f"kinds.mine.{key}: ")
    assert caught.value.data == {"key": f"kinds.mine.{key}"}
    assert caught.value.hint


@pytest.mark.parametrize(("name", "table"), [("My Kind", {}), ("a/b", {}), ("", {}), ("mine", 1)])
def test_a_kind_needs_a_plain_name_and_a_table(name: str, table: Any) -> None:
    with pytest.raises(ConfigInvalid, match=r"kinds\."):
        Catalog.build({name: table})
