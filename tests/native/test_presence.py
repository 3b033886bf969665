"""The daemon's name outside its home: one process holds it, other processes learn so and can ask."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.native import presence, trust
from supervisor.native.presence_api import HeldError
from tests.contract.platforms import on_loop, until
from tests.systems import POSIX_ONLY

HOLDER = """
import sys
from supervisor.native import presence
try:
    held = presence.take(sys.argv[1])
except presence.HeldError:
    print("held", flush=True)
else:
    print("taken", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def home_id() -> str:
    return f"test-{os.urandom(6).hex()}"


@pytest.fixture
def holder(home_id: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the name."""
    argv = [sys.executable, "-P", "-c", HOLDER, home_id]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "taken"
        yield process
        process.kill()


def test_a_name_that_another_process_has_is_refused(home_id: str, holder: subprocess.Popen[str]) -> None:  # noqa: ARG001
    with pytest.raises(HeldError):
        presence.take(home_id)
    assert presence.ask(home_id, 0.1) == b"", "one is there, and says nothing yet"


def test_a_killed_holder_frees_the_name(home_id: str, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    assert presence.ask(home_id, 0.1) is None
    presence.take(home_id).close()


def test_untaken_name_has_no_holder(home_id: str) -> None:
    assert presence.ask(home_id, 0.1) is None
    held = presence.take(home_id)
    held.close()
    held.close()
    assert presence.ask(home_id, 0.1) is None


@on_loop
async def test_asking_wakes_the_holder(home_id: str) -> None:
    asked: list[bytes] = []

    def answer() -> bytes:
        asked.append(b"here")
        return b"here"

    held = presence.take(home_id)
    held.listen(answer)
    try:
        said = await asyncio.to_thread(presence.ask, home_id, 10.0)
        await until(lambda: asked, "it is asked")
        # The event of Windows carries no answer.
        assert said == (b"here" if sys.platform != "win32" else b"")
    finally:
        held.close()


@POSIX_ONLY
@on_loop
async def test_a_name_in_a_folder_works_the_same(tmp_path: Path) -> None:
    from supervisor.native.posix import presence as posix_presence

    folder = tmp_path / "names"
    held = posix_presence.take_in_folder(folder, "home")
    with pytest.raises(HeldError):
        posix_presence.take_in_folder(folder, "home")
    held.listen(lambda: b"here")
    address = str(folder / "home.socket")
    assert await asyncio.to_thread(posix_presence.ask_at, address, 10.0) == b"here"
    held.close()
    assert posix_presence.ask_at(address, 0.1) is None
    posix_presence.take_in_folder(folder, "home").close()


@POSIX_ONLY
def test_answer_of_another_user_is_not_believed(home_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    held = presence.take(home_id)
    monkeypatch.setattr(trust, "same_user", lambda _: False)
    assert presence.ask(home_id, 0.1) is None
    with pytest.raises(OSError, match="in use"):
        presence.take(home_id)
    held.close()


@POSIX_ONLY
@on_loop
async def test_question_of_another_user_is_not_answered(home_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from supervisor.native.posix import presence as posix_presence

    asked: list[str] = []
    held = presence.take(home_id)
    held.listen(lambda: asked.append("asked") or b"secret")  # type: ignore[func-returns-value]
    address = held._socket.getsockname()  # type: ignore[attr-defined]
    monkeypatch.setattr(posix_presence.trust, "same_user", lambda _: False)
    with socket.socket(socket.AddressFamily["AF_UNIX"]) as foreign_server:
        foreign_server.settimeout(10)
        foreign_server.connect(address)
        heard: list[bytes] = []
        reader = threading.Thread(target=lambda: heard.append(foreign_server.recv(100)))
        reader.start()
        await until(lambda: heard, "the connection ends")
        reader.join()
    assert (heard, asked) == ([b""], [])
    held.close()
