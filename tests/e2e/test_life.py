import os
import signal
from pathlib import Path

from tests.e2e.home import Home, eventually, lives


def test_up_then_owner_killed_then_gone(toy: Home) -> None:
    owner = toy.owner()
    server = toy.up("e2e-toy", "--owner-pid", str(owner.pid))
    assert server["state"] == "ready"
    pid = server["process"]["pid"]
    owner.kill()
    owner.wait()
    eventually(lambda: not lives(pid), "the server is reaped")
    suspected = toy.event("server.suspected", server="e2e-toy")
    reaped = toy.event("server.reaped", server="e2e-toy")
    assert reaped["first_sample"] <= suspected["sampled"] + 0.5
    assert 0.5 <= reaped["second_sample"] - reaped["first_sample"] < 10
    # The process ends before the daemon has heard of it.
    toy.event("server.stopped", server="e2e-toy")
    assert toy.server("e2e-toy") is None


def test_the_daemon_is_killed_and_the_next_finds_the_same_server(toy: Home) -> None:
    owner = toy.owner()
    before = toy.up("e2e-toy", "--owner-pid", str(owner.pid))
    toy.kill_daemon()
    assert lives(before["process"]["pid"])
    toy.start()
    after = toy.server("e2e-toy")
    assert after is not None
    assert after["process"] == before["process"]
    assert after["ports"] == before["ports"]
    assert [o["pid"] for o in after["owners"]] == [owner.pid]
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    eventually(lambda: not lives(before["process"]["pid"]), "the adopted server is reaped")


def test_server_gets_its_owners_pid_by_environment(toy: Home) -> None:
    owner = toy.owner()
    server = toy.up("e2e-toy", "--owner-pid", str(owner.pid))
    variables = Path(f"/proc/{server['process']['pid']}/environ").read_bytes().split(b"\0")
    assert f"TOY_OWNER={owner.pid}".encode() in variables


def test_a_server_that_is_killed_is_replaced_on_its_ports(toy: Home) -> None:
    owner = toy.owner()
    first = toy.up("e2e-toy", "--owner-pid", str(owner.pid))
    os.kill(first["process"]["pid"], signal.SIGKILL)
    toy.event("server.exited", server="e2e-toy", exit=-9)
    second = eventually(lambda: toy.server_in("e2e-toy", "ready", restarts=1), "it is ready again")
    assert second["ports"] == first["ports"]
    assert second["process"]["pid"] != first["process"]["pid"]
