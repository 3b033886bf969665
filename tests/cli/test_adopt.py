"""`adopt` against a daemon that answers from a script."""

import os
from typing import Any

import pytest

from supervisor.cli.context.owner import identify_owner
from supervisor.errors import NotFound, NotOurs
from tests.cli.conftest import Run
from tests.cli.objects import server, status
from tests.cli.scripted import Script

ADOPTED = server(origin="adopted")


def test_a_number_is_tried_as_a_port_first(run: Run, daemon: Script) -> None:
    daemon.answers |= {"server.adopt": ADOPTED, "status": status()}
    outcome = run("adopt", "8000")
    assert outcome.code == 0
    assert daemon.params("server.adopt") == {"port": 8000}
    assert "godot-ai 4.3.1" in outcome.out
    assert "http://127.0.0.1:8000/mcp" in outcome.out


def test_a_number_without_a_listener_is_a_process(run: Run, daemon: Script) -> None:
    def answer(params: dict[str, Any]) -> Any:
        return NotFound("no listener") if "port" in params else ADOPTED

    daemon.answers["server.adopt"] = answer
    assert run("adopt", "4300", "--json").document == ADOPTED
    assert daemon.all_params("server.adopt") == [{"port": 4300}, {"pid": 4300}]


def test_a_number_above_65535_is_a_process(run: Run, daemon: Script) -> None:
    daemon.answers["server.adopt"] = ADOPTED
    assert run("adopt", "70000", "--json").code == 0
    assert daemon.params("server.adopt") == {"pid": 70000}


def test_kind_and_owner_are_sent_to_the_daemon(run: Run, daemon: Script) -> None:
    daemon.answers["server.adopt"] = ADOPTED
    assert run("adopt", "8000", "--kind", "godot-ai", "--owner-pid", str(os.getpid()), "--json").code == 0
    assert daemon.params("server.adopt") == {"port": 8000, "kind": "godot-ai", "owner": identify_owner(os.getpid())}


def test_a_refusal_is_not_retried_as_a_process(run: Run, daemon: Script) -> None:
    daemon.answers["server.adopt"] = NotOurs("pid 4300 is not recognised", hint="godot-supervisor ports")
    outcome = run("adopt", "8000")
    assert outcome.code == 5
    assert "not recognised" in outcome.err
    assert len(daemon.all_params("server.adopt")) == 1


@pytest.mark.parametrize("target", ["0", "-1", "godot", ""])
def test_the_target_must_be_a_number(run: Run, daemon: Script, target: str) -> None:  # noqa: ARG001
    assert run("adopt", "--", target).code == 2


def test_adopt_needs_a_daemon(run: Run) -> None:
    assert run("adopt", "8000").code == 3


def test_a_number_that_is_neither_is_explained(run: Run, daemon: Script) -> None:
    daemon.answers["server.adopt"] = NotFound("no process")
    outcome = run("adopt", "18999")
    assert outcome.code == 4
    assert outcome.err.splitlines()[0] == "error: no server listens on port 18999, and there is no process 18999"
    assert "'abc' is neither a process id nor a port" in run("adopt", "abc").err
