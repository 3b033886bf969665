"""Hypothesis sends one real daemon thousands of frames and fields, and it works afterwards as before."""

import json
import os
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.wire.messages.methods import METHODS
from tests import protocol
from tests.e2e.conftest import toy_config
from tests.e2e.raw_connections import AttackedHome, RawConnection, code
from tests.gates import examples
from tests.wire import hostile

BUDGET = settings(
    derandomize=True,
    max_examples=examples(200),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
FOR_EACH_VERB = settings(BUDGET, max_examples=examples(30))

MUTATIONS = ("server.ensure", "server.stop", "server.restart", "server.adopt")
IMPOLITE = ("PARSE_ERROR", "INVALID_REQUEST", "INVALID_PARAMS", "METHOD_NOT_FOUND", "UNAUTHORIZED", "NOT_FOUND")


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AttackedHome]:
    attacked = AttackedHome(tmp_path_factory.mktemp("wire"), toy_config())
    attacked.start()
    attacked.up("e2e-toy")
    attacked.check_undisturbed()
    # At rest: after a reload it watches its files anew, and has one less for a moment.
    attacked.at_rest = attacked.descriptors()
    yield attacked
    attacked.close()


@pytest.fixture
def attacked(shared_home: AttackedHome) -> Iterator[AttackedHome]:
    """Share one daemon: after each test it answers, has no more open than at first, and reports no defect."""
    shared_home.check_undisturbed()
    instance = shared_home.published.instance_id
    yield shared_home
    assert shared_home.published.instance_id == instance
    there = {row["id"] for row in shared_home.call("status")["servers"]}
    assert "e2e-toy" in there
    # Some of the requests asked for another version.
    for beside in there - {"e2e-toy"}:
        shared_home.call("server.stop", {"server": beside, "force": True})
    shared_home.check_undisturbed()
    shared_home.wait_for_descriptors(shared_home.at_rest)
    assert [row for row in shared_home.events() if row["level"] == "error"] == []


def until_answered(caller: RawConnection, identifier: str) -> list[Any] | None:
    """Everything up to the answer of this request, which is the last; None: the connection was closed before."""
    heard = []
    while (frame := caller.hear()) is not None:
        protocol.check_frame(frame)
        heard.append(frame)
        if "method" not in frame and frame["id"] == identifier:
            return heard
    return None


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_any_lines_of_a_client_get_typed_errors_or_results(attacked: AttackedHome, kind: str) -> None:
    numbers = count()
    with attacked.greeted(kind) as caller:

        @BUDGET
        @given(st.lists(hostile.lines(), min_size=1, max_size=3))
        def attempt(said: list[bytes]) -> None:
            mark = f"mark {next(numbers)}"
            ping = json.dumps({"jsonrpc": "2.0", "id": mark, "method": "ping"}).encode()
            caller.say(b"\n".join([*said, ping, b""]))
            heard = until_answered(caller, mark)
            assert heard is not None, "the connection was closed"
            assert {code(frame) for frame in heard if "error" in frame} <= {*IMPOLITE}

        attempt()


def test_a_client_without_a_token_never_reaches_a_method(attacked: AttackedHome) -> None:
    @settings(BUDGET, max_examples=examples(80))
    @given(st.lists(hostile.lines(), max_size=2))
    def attempt(said: list[bytes]) -> None:
        with attacked.caller("tcp") as caller:
            caller.say(b"\n".join([*said, b'{"jsonrpc":"2.0","id":"mark","method":"status"}', b""]))
            heard = []
            while (frame := caller.hear()) is not None:
                heard.append(frame)
            # At most one refusal comes, and then the end.
            assert [code(frame) in ("UNAUTHORIZED", "INVALID_PARAMS") for frame in heard] in ([], [True]), heard

    attempt()


@pytest.mark.parametrize("method", METHODS)
def test_every_method_answers_whatever_its_fields_are(attacked: AttackedHome, method: str) -> None:
    numbers = count()
    with attacked.greeted("unix") as caller:

        @FOR_EACH_VERB
        @given(hostile.params_of(method))
        def attempt(params: Any) -> None:
            if not harmless(method, params):
                return
            mark = f"{method} {next(numbers)}"
            caller.say(json.dumps({"jsonrpc": "2.0", "id": mark, "method": method, "params": params}).encode() + b"\n")
            caller.say(json.dumps({"jsonrpc": "2.0", "id": "mark", "method": "ping"}).encode() + b"\n")
            heard = until_answered(caller, "mark")
            assert heard is not None, "the connection was closed"
            # A mutation may take longer than the ping after it.
            if not any("method" not in frame and frame["id"] in (mark, None) for frame in heard):
                heard = until_answered(caller, mark)
                assert heard is not None, "the connection was closed"
            (answer,) = (frame for frame in heard if "method" not in frame and frame["id"] in (mark, None))
            if "error" in answer:
                assert code(answer) != "INTERNAL", answer
            else:
                protocol.check(method, answer["result"])

        attempt()


def harmless(method: str, params: Any) -> bool:
    """Whether this leaves the daemon and its server where they are, so that the next example finds them."""
    if not isinstance(params, dict):
        return True
    if method == "daemon.shutdown":
        return not isinstance(params.get("servers"), bool)
    if method in MUTATIONS:
        named = {str(params.get(name)) for name in ("server", "kind")}
        return "e2e-toy" not in named and params.get("pid") != os.getpid()
    return True
