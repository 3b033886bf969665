"""Leaving a control group, with a substitute for the user's bus; `tests/e2e/test_systemd.py` uses the real one."""

import asyncio
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

if sys.platform != "linux":
    pytest.skip("control groups are Linux", allow_module_level=True)

from supervisor.native.linux import scope
from supervisor.native.linux.dbus import Bus, DBusError, Writer, encode_call
from supervisor.native.linux.scope import Scope

CALL, RETURN, ERROR = 1, 2, 3
FIXED = struct.Struct("=BBBBIII")


def answer(kind: int, answers: int, error: str = "", body: bytes = b"") -> bytes:
    def fields(writer: Writer) -> None:
        writer.align(8).data.append(5)
        writer.signature("u").number(answers)
        if error:
            writer.align(8).data.append(4)
            writer.signature("s").text(error)
        writer.align(8).data.append(7)
        writer.signature("s").text(":1.1")
        writer.align(8).data.append(8)
        writer.signature("g").signature("s")

    order = ord({"little": "l", "big": "B"}[sys.byteorder])
    header = Writer()
    header.data.extend(struct.pack("=BBBBII", order, kind, 0, 1, len(body), 99))
    return bytes(header.array(8, fields).align(8).data) + body


class StandIn:
    """A bus that authenticates, answers each call by a function of its number and bytes, and keeps the calls."""

    def __init__(self, path: Path, answers: Callable[[int, bytes], bytes | None]) -> None:
        self.path = str(path)
        self.calls: list[bytes] = []
        self.auth = b""
        self._answers = answers

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.auth = await reader.readline()
            writer.write(b"OK 1234\r\n")
            assert await reader.readline() == b"BEGIN\r\n"
            while True:
                fixed = await reader.readexactly(FIXED.size)
                _, _, _, _, body, serial, fields = FIXED.unpack(fixed)
                rest = await reader.readexactly(fields + -fields % 8 + body)
                self.calls.append(rest)
                said = self._answers(serial, rest)
                if said is not None:
                    # An unrequested signal comes between.
                    writer.write(answer(4, 0, body=b"\0" * 5) + said)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def well(serial: int, _: bytes) -> bytes:
    return answer(RETURN, serial, body=Writer().text("/job/1").data)


def test_call_has_the_layout_of_the_specification() -> None:
    # Computed by hand: all header fields, each aligned to 8, the body after a header whose length is a multiple of 8.
    made = encode_call(7, "a.b", "/c", "d.e.F", "u", Writer().number(5).data)
    assert FIXED.unpack(made[:16]) == (ord("l") if sys.byteorder == "little" else ord("B"), CALL, 0, 1, 4, 7, 71)
    if sys.byteorder == "little":
        assert made[16:] == (
            b"\x01\x01o\0\x02\0\0\0/c\0\0\0\0\0\0"
            b"\x02\x01s\0\x03\0\0\0d.e\0\0\0\0\0"
            b"\x03\x01s\0\x01\0\0\0F\0\0\0\0\0\0\0"
            b"\x06\x01s\0\x03\0\0\0a.b\0\0\0\0\0"
            b"\x08\x01g\0\x01u\0\0"
            b"\x05\0\0\0"
        )


def test_length_of_an_array_excludes_its_padding() -> None:
    made = Writer().array(8, lambda inner: inner.align(8).text("ab")).data
    assert made == struct.pack("=II", 7, 0) + struct.pack("=I", 2) + b"ab\0"


def test_error_carries_its_name(tmp_path: Path) -> None:
    async def story() -> None:
        refuse = "org.freedesktop.DBus.Error.PropertyReadOnly"
        replies = {1: lambda serial: answer(RETURN, serial), 2: lambda serial: answer(ERROR, serial, refuse)}
        async with StandIn(tmp_path / "bus", lambda serial, _: replies[serial](serial)) as stand_in:
            bus = await Bus.connect(stand_in.path)
            with pytest.raises(DBusError, match=refuse) as caught:
                await bus.call("a.b", "/c", "d.e.F")
            assert caught.value.name == refuse
            bus.close()
            assert stand_in.auth.startswith(b"\0AUTH EXTERNAL ")

    asyncio.run(story())


def test_process_asks_for_a_scope_and_waits_until_proc_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd answers before it acts: the move is over when /proc says so."""
    where = iter(["0::/old\n", "0::/old\n"])

    async def story() -> None:
        async with StandIn(tmp_path / "bus", well) as stand_in:
            name = ""

            def group() -> str:
                nonlocal name
                asked = stand_in.calls[-1]
                start = asked.index(b"app-godotsupervisor-")
                name = asked[start : asked.index(b"\0", start)].decode()
                return next(where, f"0::/user.slice/{name}\n")

            monkeypatch.setattr(scope, "control_group", group)
            assert await scope.move_to_new_scope(stand_in.path) == name
            assert name.endswith(".scope")
            (asked,) = stand_in.calls[1:]
            for word in (b"StartTransientUnit", b"ssa(sv)a(sa(sv))", b"PIDs\0\x02au\0", b"OOMPolicy", b"continue"):
                assert word in asked

    asyncio.run(story())
    assert next(where, None) is None


def test_older_systemd_gets_no_property_that_it_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def picky(serial: int, said: bytes) -> bytes:
        return answer(ERROR, serial, "x.ReadOnly") if b"OOMPolicy" in said else answer(RETURN, serial)

    async def story() -> None:
        async with StandIn(tmp_path / "bus", picky) as stand_in:
            monkeypatch.setattr(scope, "control_group", lambda: stand_in.calls[-1].decode(errors="replace"))
            monkeypatch.setattr(scope, "secrets", type("Fixed", (), {"token_hex": staticmethod(lambda _: "1")}))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await scope.move_to_new_scope(stand_in.path)
            assert [b"OOMPolicy" in said for said in stand_in.calls] == [False, True, False]

    asyncio.run(story())


def test_without_a_bus_the_start_is_not_delayed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    started = time.perf_counter()
    for path in ("gone", "file"):
        asyncio.run(Scope(str(tmp_path / path)).begin(lambda: None))
    assert time.perf_counter() - started < scope.PATIENCE_S


@pytest.mark.parametrize("replies", [lambda *_: None, lambda serial, _: answer(ERROR, serial, "x.Denied")])
def test_silent_or_refusing_bus_delays_the_start_only_briefly(
    tmp_path: Path, replies: Callable[[int, bytes], bytes | None]
) -> None:
    async def story() -> float:
        async with StandIn(tmp_path / "bus", replies) as stand_in:
            started = time.perf_counter()
            await Scope(stand_in.path).begin(lambda: None)
            return time.perf_counter() - started

    assert asyncio.run(story()) < 20 * scope.PATIENCE_S


def test_bus_is_that_of_the_users_own_systemd() -> None:
    assert scope.bus_path({"XDG_RUNTIME_DIR": "/run/user/7"}) == "/run/user/7/bus"
    assert scope.bus_path({}).startswith("/run/user/")
