"""Faulty requests and answers of the modern era, which the conformance suite has found."""

from typing import Any

import pytest

from supervisor.mcp.core.client_request import ClientRequest
from supervisor.mcp.core.events_and_actions import Problem
from supervisor.mcp.core.local_answers import LocalAnswers
from supervisor.mcp.core.messages.catalogue import MODERN, Catalogue
from supervisor.mcp.core.messages.message import Message, encode, parse
from supervisor.mcp.core.outbox import Outbox

VERSION = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientCapabilities": {},
}
HELLO = {"supportedVersions": [VERSION], "capabilities": {}}


def request(method: str, **meta: Any) -> Message:
    return parse(encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"_meta": {**META, **meta}}}))


def error(code: int, **data: Any) -> Message:
    return parse(encode({"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": "no", "data": data}}))


def local(*, knows_server: bool = True) -> LocalAnswers:
    catalogue = Catalogue()
    if knows_server:
        catalogue.eras[MODERN].hello = dict(HELLO)
    return LocalAnswers("small", catalogue, Outbox())


def code_of(answer: bytes | bytearray | None) -> int | None:
    return None if answer is None else parse(answer).body["code"]


@pytest.mark.parametrize(
    ("meta", "code"),
    [
        ({}, None),
        ({"io.modelcontextprotocol/protocolVersion": None}, -32602),
        ({"io.modelcontextprotocol/clientCapabilities": None}, -32602),
        ({"io.modelcontextprotocol/protocolVersion": "v999.0.0"}, -32022),
    ],
)
def test_a_faulty_discovery_is_refused_as_servers_do(meta: dict[str, Any], code: int | None) -> None:
    assert code_of(local().answer_at_once(request("server/discover", **meta))) == code


def test_an_unknown_revision_is_answered_with_the_known_ones() -> None:
    asked = request("server/discover", **{"io.modelcontextprotocol/protocolVersion": "v9"})
    answer = local().answer_at_once(asked)
    assert answer is not None
    assert parse(answer).body["data"] == {"supported": [VERSION], "requested": "v9"}


@pytest.mark.parametrize("method", ["ping", "initialize"])
def test_methods_of_the_old_era_are_unknown_in_the_new_one(method: str) -> None:
    assert code_of(local().answer_at_once(request(method))) == -32601


def test_a_ping_of_the_old_era_is_answered() -> None:
    plain = parse(b'{"jsonrpc":"2.0","id":1,"method":"ping"}')
    assert local().answer_at_once(plain) == b'{"jsonrpc":"2.0","id":1,"result":{}}'


@pytest.mark.parametrize(
    ("answer", "problem", "is_refused"),
    [
        (error(-32601), None, True),
        (error(-32600), None, True),
        (None, Problem("SERVER_REFUSED", "HTTP status 400"), True),
        (error(-32022, supported=[VERSION]), None, False),
        (error(-32020), None, False),
        (None, Problem("SERVER_UNREACHABLE", "the server ended"), False),
    ],
)
def test_only_refusals_say_that_a_server_is_of_the_old_era(
    answer: Message | None, problem: Problem | None, *, is_refused: bool
) -> None:
    known = local(knows_server=False)
    known.store_discovery(ClientRequest(request("server/discover"), 0.0), answer, problem)
    assert known.catalogue_json(None)["eras"][MODERN]["refused"] is is_refused
