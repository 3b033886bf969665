"""Answers of a faulty server to one request, and the outcome of each for a call of a tool."""

import gzip
import json
from typing import Any, NamedTuple

GOOD = '{"jsonrpc":"2.0","id":@ID@,"result":{"content":[{"type":"text","text":"good"}]}}'
OTHER = '{"jsonrpc":"2.0","id":"another","result":{"content":[]}}'
UNKNOWN, REFUSED, UNREACHABLE, ANSWERED = "OUTCOME_UNKNOWN", "SERVER_REFUSED", "SERVER_UNREACHABLE", "good"

# The id is that of the test's request, which has seven digits.
ID_LENGTH, MARK_LENGTH = 7, len("@ID@")


class Play(NamedTuple):
    """The steps of the server, the outcome of a call, and how often the server gets the call."""

    steps: list[Any]
    outcome: str
    times: int = 1


def head(status: int = 200, kind: str | None = "application/json", *more: str) -> str:
    """Return the head of a response."""
    types = [] if kind is None else [f"Content-Type: {kind}"]
    return "\r\n".join([f"HTTP/1.1 {status} X", *types, *more, "", ""])


def whole(body: str, status: int = 200, kind: str | None = "application/json", *more: str) -> str:
    """Return a response with the length of its body."""
    length = len(body) + body.count("@ID@") * (ID_LENGTH - MARK_LENGTH)
    return head(status, kind, *more, f"Content-Length: {length}") + body


def chunks(*bodies: str, kind: str = "text/event-stream", end: bool = True) -> str:
    """Return a response in chunks."""
    parts = [f"{len(body) + body.count('@ID@') * (ID_LENGTH - MARK_LENGTH):x}\r\n{body}\r\n" for body in bodies]
    return head(200, kind, "Transfer-Encoding: chunked") + "".join(parts) + ("0\r\n\r\n" if end else "")


def packed(text: str) -> str:
    """Return a text compressed by gzip. The id in it is not that of any request."""
    return gzip.compress(text.encode(), mtime=0).decode("latin-1")


EVENT = f"data: {GOOD}\n\n"
ELSEWHERE = "Location: http://127.0.0.1:@ELSEWHERE@/mcp"

PLAYS: dict[str, Play] = {
    # no HTTP
    "garbage": Play(["what is this\r\n\r\n"], UNKNOWN),
    "binary garbage": Play(["\x00\xff\x16\x03\x01" * 50], UNKNOWN),
    "another protocol": Play(["SSH-2.0-OpenSSH_9.2\r\n"], UNKNOWN),
    "another version of HTTP": Play(["HTTP/2 200\r\n\r\n"], UNKNOWN),
    "closed at once": Play(["close"], UNKNOWN),
    "reset at once": Play(["reset"], UNKNOWN),
    "half a status line": Play(["HTTP/1.1 2", "close"], UNKNOWN),
    "half a head": Play(["HTTP/1.1 200 OK\r\nContent-Ty", "close"], UNKNOWN),
    "a long head": Play(["HTTP/1.1 200 OK\r\n" + "X: y\r\n" * 20_000], UNKNOWN),
    "one endless header": Play(["HTTP/1.1 200 OK\r\nX: ", "flood", "y"], UNKNOWN),
    # lengths
    "a length that is too large": Play(
        [head(200, "application/json", "Content-Length: 9000") + GOOD, "close"], UNKNOWN
    ),
    "a length that is too small": Play([head(200, "application/json", "Content-Length: 20") + GOOD], UNKNOWN),
    "a negative length": Play([head(200, "application/json", "Content-Length: -1") + GOOD], UNKNOWN),
    "a length that is no number": Play([head(200, "application/json", "Content-Length: many") + GOOD], UNKNOWN),
    "two lengths": Play([head(200, "application/json", "Content-Length: 3", "Content-Length: 4") + GOOD], UNKNOWN),
    "a body up to the end": Play([head() + GOOD, "close"], ANSWERED),
    "a chunk of a bad size": Play(
        [head(200, "application/json", "Transfer-Encoding: chunked") + f"zz\r\n{GOOD}"], UNKNOWN
    ),
    "a chunk that is cut off": Play([chunks(GOOD, end=False, kind="application/json"), "close"], UNKNOWN),
    "an unknown transfer": Play([head(200, "application/json", "Transfer-Encoding: brotli") + GOOD], UNKNOWN),
    "something after the answer": Play([whole(GOOD) + "HTTP/1.1 500 X\r\n\r\ngarbage"], ANSWERED),
    "another answer behind the first": Play([whole(GOOD) + whole(OTHER)], ANSWERED),
    # statuses
    "interim answers": Play([head(100, None) + head(103, None, "Link: </x>") + whole(GOOD)], ANSWERED),
    "switching protocols": Play([head(101, None, "Upgrade: websocket", "Connection: Upgrade")], UNKNOWN),
    "202 for a call": Play([whole("", 202)], UNKNOWN),
    "204 for a call": Play([head(204, None)], UNKNOWN),
    "301 elsewhere": Play([whole("", 301, None, ELSEWHERE)], REFUSED),
    "302 elsewhere": Play([whole("", 302, None, ELSEWHERE)], REFUSED),
    "307 elsewhere": Play([whole("", 307, None, ELSEWHERE)], REFUSED),
    "308 elsewhere": Play([whole("", 308, None, ELSEWHERE)], REFUSED),
    "400": Play([whole("no", 400, "text/plain")], REFUSED),
    "403": Play([whole("no", 403, "text/html")], REFUSED),
    "405": Play([whole("", 405)], REFUSED),
    "413": Play([whole("", 413)], REFUSED),
    "429": Play([whole("", 429)], REFUSED),
    "429 with no pause": Play([whole("", 429, None, "Retry-After: 0")], UNREACHABLE, 8),
    "500": Play([whole("", 500)], UNKNOWN),
    "500 with an error": Play(
        [whole('{"jsonrpc":"2.0","id":@ID@,"error":{"code":-32001,"message":"own"}}', 500)], "-32001"
    ),
    "503": Play([whole("", 503)], UNKNOWN),
    "503 with no pause": Play([whole("", 503, None, "Retry-After: 0")], UNREACHABLE, 8),
    "503 with a negative pause": Play([whole("", 503, None, "Retry-After: -5")], UNREACHABLE, 8),
    "503 with no number": Play([whole("", 503, None, "Retry-After: nan")], UNREACHABLE, 8),
    "404 for ever": Play([whole("", 404)], UNREACHABLE, 8),
    "401 for ever": Play([whole("", 401)], UNREACHABLE, 8),
    # bodies
    "a wrong content type": Play([whole(GOOD, 200, "text/html")], UNKNOWN),
    "no content type": Play([whole(GOOD, 200, None)], UNKNOWN),
    "another spelling of the type": Play([whole(GOOD, 200, "Application/JSON; charset=utf-8")], ANSWERED),
    "a compressed body": Play([whole(packed(OTHER), 200, "application/json", "Content-Encoding: gzip")], UNKNOWN),
    "a compression that is a lie": Play([whole(GOOD, 200, "application/json", "Content-Encoding: gzip")], ANSWERED),
    "UTF-16": Play([whole(OTHER.encode("utf-16").decode("latin-1"))], UNKNOWN),
    "no UTF-8": Play([whole('{"jsonrpc":"2.0","id":@ID@,"result":{"x":"\xff"}}')], UNKNOWN),
    "a zero byte": Play([whole('{"jsonrpc":"2.0","id":@ID@,"result":{"x":"\x00"}}')], UNKNOWN),
    "NaN": Play([whole('{"jsonrpc":"2.0","id":@ID@,"result":{"x":NaN}}')], UNKNOWN),
    "nothing": Play([whole("")], UNKNOWN),
    "a batch": Play([whole(f"[{GOOD}]")], UNKNOWN),
    "an answer to another request": Play([whole(OTHER)], UNKNOWN),
    "an id of another type": Play([whole(GOOD.replace("@ID@", '"@ID@"'))], UNKNOWN),
    "an error without an id": Play(
        [whole('{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"x"}}')], UNKNOWN
    ),
    "result and error": Play([whole(GOOD[:-1] + ',"error":{"code":1,"message":"x"}}')], UNKNOWN),
    "deep nesting": Play([whole('{"jsonrpc":"2.0","id":@ID@,"result":' + "[" * 30_000 + "]" * 30_000 + "}")], UNKNOWN),
    "several lines": Play([whole(GOOD.replace(",", ",\r\n  "))], ANSWERED),
    # event streams
    "half an event": Play([chunks(EVENT[:20], end=False), "close"], UNKNOWN),
    "an event without an end": Play([chunks(EVENT[:-2])], UNKNOWN),
    "a stream without an answer": Play([chunks(": nothing\n\n")], UNKNOWN),
    "an answer, then garbage": Play([chunks(EVENT, "data: {{{\n\n\x00\xff")], ANSWERED),
    "an answer, then the end": Play([chunks(EVENT, end=False), "close"], ANSWERED),
    "an answer, then nothing": Play([chunks(EVENT, end=False), "hold"], ANSWERED),
    "garbage, then an answer": Play([chunks("data: {{{\n\nfoo\n\ndata: 7\n\n", EVENT)], ANSWERED),
    "two answers": Play([chunks(EVENT, EVENT.replace("good", "bad"))], ANSWERED),
    "another answer first": Play([chunks(f"data: {OTHER}\n\n", EVENT)], ANSWERED),
    "ends of lines of Macs": Play([chunks(f": x\r\rdata: {GOOD}\r\r")], ANSWERED),
    "a byte order mark": Play([chunks("\xef\xbb\xbf" + EVENT)], ANSWERED),
    "data on several lines": Play([chunks("data: " + GOOD.replace(",", ",\ndata: ") + "\n\n")], ANSWERED),
    # time
    "a slow drip": Play(["drip", whole(GOOD)], ANSWERED),
    "a slow stream": Play(["drip", chunks(EVENT)], ANSWERED),
}

LONG = (
    "one endless header",
    "deep nesting",
    "429 with no pause",
    "503 with a negative pause",
    "503 with no number",
    "401 for ever",
)
"""Plays that take longer than the others."""

FLOODS: dict[str, Play] = {
    "an endless chunk": Play(
        [head(200, "application/json", "Transfer-Encoding: chunked") + "fffffffff\r\n", "flood", "x" * 1000], UNKNOWN
    ),
    "an endless event": Play(
        [head(200, "text/event-stream", "Transfer-Encoding: chunked") + "fffffffff\r\ndata: ", "flood", "x" * 1000],
        UNKNOWN,
    ),
    "an endless body": Play([head(200, "application/json"), "flood", "x" * 1000], UNKNOWN),
}
"""Answers that have no end. The bridge reads 64 MiB of them."""

OPEN: dict[str, list[Any]] = {
    "no answer": ["hold"],
    "half a head, then nothing": ["HTTP/1.1 200 OK\r\nConte", "hold"],
    "half a body, then nothing": [head(200, "application/json", "Content-Length: 900") + "{", "hold"],
    "half an event, then nothing": [chunks(EVENT[:20], end=False), "hold"],
}
"""Answers that never come. The client may cancel."""


def as_json(elsewhere: int) -> str:
    """Return all plays for the server. `elsewhere` is a port of another program."""
    steps = {name: play.steps for name, play in {**PLAYS, **FLOODS}.items()} | OPEN
    return json.dumps(steps).replace("@ELSEWHERE@", str(elsewhere))
