"""Behaviour of ports that only Linux has; `tests/contract` has the rest."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.core.model import Bind
from supervisor.native.posix.trial_bind import try_bind
from tests.contract.platforms import RealHarness
from tests.privilege import NEEDS_ROOT, as_nobody

pytestmark = pytest.mark.linux_only

LOWEST_UNPRIVILEGED = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("option", ["SO_REUSEADDR", "SO_REUSEPORT"])
def test_trial_bind_detects_every_listener(address: str, option: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, getattr(socket, option), 1)
        listener.bind((address, 0))
        listener.listen()
        assert try_bind(listener.getsockname()[1])[0] is Bind.TAKEN


def test_a_trial_does_not_disturb_a_server_between_bind_and_listen() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        try_bind(port)
        server.listen()
        assert try_bind(port) == (Bind.TAKEN, "Address already in use")


@pytest.mark.needs_root
@NEEDS_ROOT[1]
def test_a_privileged_port_is_excluded_for_others() -> None:
    if LOWEST_UNPRIVILEGED <= 1:
        pytest.skip("this machine has no privileged ports")
    assert as_nobody(lambda: repr(try_bind(1))) == repr((Bind.EXCLUDED, "Permission denied"))


@pytest.mark.needs_root
@NEEDS_ROOT[1]
def test_listener_of_another_user_is_shown_by_user_without_process(harness: RealHarness) -> None:
    port = harness.listen("127.0.0.1")

    def ask() -> str:
        harness.hang_up()
        fact = harness.platform.ports.facts([port])[port]
        occupant = fact.listeners[0].occupant
        return f"{fact.bind} {occupant.identity} {occupant.user}"

    assert as_nobody(ask) == "taken None root"


def test_oldest_of_several_holders_is_reported(harness: RealHarness) -> None:
    port = harness.listen("127.0.0.1")
    descriptor = harness._listeners[0].fileno()
    code = "print(flush=True); input()"
    argv = [sys.executable, "-I", "-S", "-c", code]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[descriptor]) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        (listener,) = harness.platform.ports.facts([port])[port].listeners
        heir = harness.platform.probe.identify(worker.pid)
        assert heir is not None
        assert listener.occupant.pid == os.getpid()
        assert harness.platform.ports.match_listeners([port], [heir, harness.me]) == {port: heir}
        harness.hang_up()
        (listener,) = harness.platform.ports.facts([port])[port].listeners
        assert listener.occupant.identity == heir
        assert listener.occupant.command[-1] == code
