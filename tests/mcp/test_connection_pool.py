"""The connections of the bridge: many at once, and none left."""

import errno
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from supervisor.mcp.bridge import connection_pool, server_connection
from supervisor.mcp.bridge.address import Address
from supervisor.mcp.bridge.connection_pool import ConnectionPool
from supervisor.mcp.bridge.loop import Loop
from supervisor.mcp.core.events_and_actions import BeginExchange, Event, ExchangeEnded, Headers
from supervisor.mcp.core.servers import Outcome
from tests.mcp.test_loop import close_file

PATIENCE_S = 20.0


class Accepting(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


class Exchanges:
    """A pool in a loop, and how its exchanges have ended."""

    def __init__(self, port: int, server_pid: int | None = None) -> None:
        self.loop = Loop()
        self.ends: dict[int, Outcome] = {}
        self.pool = ConnectionPool(self.loop, self.note)
        self.pool.set_address(1, Address("127.0.0.1", port, "/", "secret", server_pid))

    def note(self, event: Event) -> None:
        assert isinstance(event, ExchangeEnded)
        assert event.exchange not in self.ends
        self.ends[event.exchange] = event.outcome

    def begin(self, exchange: int, headers: Headers = ()) -> None:
        self.pool.begin_exchange(BeginExchange(exchange, 1, "POST", headers, b"{}"))

    def wait(self, count: int) -> None:
        """Run the loop until this number of exchanges has ended."""
        end = time.monotonic() + PATIENCE_S

        def on_deadline() -> None:
            assert time.monotonic() < end, len(self.ends)
            self.loop.end()

        self.loop.run(lambda: 0.0 if len(self.ends) >= count else end, on_deadline)

    def close(self) -> None:
        for file in [*(watch.file for watch in self.loop._watches.values()), self.loop._bell.writer]:
            close_file(file)


@pytest.fixture
def exchanges() -> Iterator[Exchanges]:
    server = Server(("127.0.0.1", 0), Accepting)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    exchanges = Exchanges(server.server_address[1], os.getpid())
    yield exchanges
    exchanges.close()
    server.shutdown()
    thread.join()
    server.server_close()


def test_more_exchanges_than_select_takes_files_all_end(exchanges: Exchanges) -> None:
    for exchange in range(1100):
        exchanges.begin(exchange)
    exchanges.wait(1100)
    assert set(exchanges.ends.values()) == {Outcome.COMPLETE}


def test_what_waits_for_a_connection_can_be_ended(exchanges: Exchanges, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_pool, "CONNECTIONS_MAX", 1)
    for exchange in range(4):
        exchanges.begin(exchange)
    exchanges.pool.abort_exchange(1)
    exchanges.pool.fail_exchange(2)
    exchanges.wait(3)
    assert exchanges.ends == {0: Outcome.COMPLETE, 2: Outcome.NOT_SENT, 3: Outcome.COMPLETE}


def test_a_request_without_a_file_left_was_not_sent(exchanges: Exchanges, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(server_connection, "ServerConnection", refuse)
    exchanges.begin(0)
    exchanges.wait(1)
    assert exchanges.ends == {0: Outcome.NOT_SENT}


@pytest.mark.parametrize("value", ["a\r\nX: b", "\u00e9"])
def test_headers_that_http_cannot_carry_end_one_exchange_only(exchanges: Exchanges, value: str) -> None:
    exchanges.begin(0, (("X-Word", value),))
    exchanges.begin(1)
    exchanges.wait(2)
    assert exchanges.ends == {0: Outcome.INVALID, 1: Outcome.COMPLETE}


def test_a_program_with_the_port_of_an_ended_server_gets_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as server:
        server.wait()
    with socket.create_server(("127.0.0.1", 0)) as other:
        exchanges = Exchanges(other.getsockname()[1], server.pid)
        exchanges.begin(1)
        exchanges.wait(1)
        exchanges.pool.end_session(1, ())
        exchanges.close()
        assert exchanges.ends == {1: Outcome.NOT_SENT}
        for _ in ("the request", "the end of the session"):
            connection, _ = other.accept()
            with connection:
                connection.settimeout(PATIENCE_S)
                assert connection.recv(1) == b""
