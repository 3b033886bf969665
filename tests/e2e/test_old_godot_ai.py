"""Real servers of godot-ai that are older than what a supervisor uses: no lease count, no bridge, no status route."""

import pytest

from tests.e2e.conftest import MakeHome, godot_ai_config
from tests.e2e.home import free_ports, is_free, lives

pytestmark = pytest.mark.needs_index

GRACE_S = 1.0


@pytest.mark.parametrize("version", ["1.5.0", "2.4.2"])
def test_an_old_server_comes_up_and_is_reaped_when_its_owner_dies(make_home: MakeHome, version: str) -> None:
    ports = free_ports(8)
    home = make_home(godot_ai_config(GRACE_S, 2, f"{ports[0]}-{ports[3]}", f"{ports[4]}-{ports[7]}"))
    owner = home.owner()
    server = home.up("godot-ai", "--version", version, "--owner-pid", str(owner.pid))
    assert (server["state"], server["version"]) == ("ready", version)
    assert server["connect"] == [], "it has no bridge: clients reach it by its URL"
    owner.kill()
    owner.wait()
    home.judged_twice("godot-ai", GRACE_S)
    assert not lives(server["process"]["pid"])
    assert all(is_free(port) for port in server["ports"].values())
    assert home.server("godot-ai") is None
