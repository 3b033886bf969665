"""Pipes that hold more."""

import os
import socket
from pathlib import Path

import pytest

from supervisor.native.startup import pipes
from supervisor.native.startup.pipes import widen


@pytest.mark.linux_only
def test_a_widened_pipe_takes_a_mebibyte_at_once() -> None:
    reader, writer = os.pipe()
    try:
        widen(writer)
        os.set_blocking(writer, False)
        assert os.write(writer, bytes(2**20)) == 2**20
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.linux_only
def test_a_pipe_that_holds_more_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    try:
        monkeypatch.setattr(pipes, "WIDE", 4096, raising=False)
        widen(writer)
        os.set_blocking(writer, False)
        assert os.write(writer, bytes(65536)) == 65536
    finally:
        os.close(reader)
        os.close(writer)


def test_what_is_no_pipe_stays_as_it_is(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, (tmp_path / "file").open("wb") as file:
        widen(ours.fileno())
        widen(file.fileno())
        ours.send(b"x")
        assert theirs.recv(1) == b"x"
