"""The loop of the bridge, and what wakes it."""

import os
import select
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from supervisor.mcp.bridge.loop import _Bell


def can_be_heard(bell: _Bell) -> bool:
    return bool(select.select([bell.reader], [], [], 0)[0])


def close_file(file: Any) -> None:
    if isinstance(file, socket.socket):
        file.close()
    else:
        os.close(file)


def close_bell(bell: _Bell) -> None:
    close_file(bell.reader)
    close_file(bell.writer)


@pytest.fixture
def bell() -> Iterator[_Bell]:
    made = _Bell()
    yield made
    close_bell(made)


def test_one_byte_wakes_the_loop(bell: _Bell) -> None:
    bell.ring()
    bell.ring()
    assert can_be_heard(bell)
    bell.silence()
    assert not can_be_heard(bell)
    bell.ring()
    assert can_be_heard(bell)


def test_a_thread_that_rings_during_the_silence_is_not_the_last(bell: _Bell) -> None:
    receive = bell._receive

    def receive_while_another_thread_rings() -> object:
        bell.ring()
        return receive()

    bell._receive = receive_while_another_thread_rings
    bell.ring()
    # The loop looks for what was added after this.
    bell.silence()
    bell.ring()
    assert can_be_heard(bell)
