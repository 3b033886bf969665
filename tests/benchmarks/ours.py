"""godot-supervisor in the benchmarks: one kind for each child, asked for in one go over one connection."""

import json
import os
import shutil
import socket
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.peer import PEERS, Peer, said_by

PROGRAMS = PEERS / "ours" / "bin"
PATIENCE_S = 30.0


class Connection:
    """The control socket, as any client would use it."""

    def __init__(self, home: Path) -> None:
        endpoint = _published(home)
        path = next(transport["path"] for transport in endpoint["transports"] if transport["kind"] == "unix")
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE_S)
        self._socket.connect(path)
        self._lines = self._socket.makefile("rb")
        self._calls = 0

    def send(self, method: str, *params: dict[str, Any]) -> list[int]:
        """Ask as often as there are params, all at once; the ids."""
        first, self._calls = self._calls + 1, self._calls + len(params)
        ids = list(range(first, self._calls + 1))
        requests = zip(ids, params, strict=True)
        self._socket.sendall(
            b"".join(
                json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": each}).encode() + b"\n"
                for number, each in requests
            )
        )
        return ids

    def answer(self, number: int) -> Any:
        """The answer to a request; what else is said before it is skipped."""
        while True:
            said = json.loads(self._lines.readline())
            if said.get("id") == number:
                assert "result" in said, said
                return said["result"]

    def call(self, method: str, **params: Any) -> Any:
        """Ask, and wait for the answer."""
        return self.answer(self.send(method, params)[0])

    def close(self) -> None:
        """Hang up."""
        self._lines.close()
        self._socket.close()


def _published(home: Path) -> Any:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            return json.loads((home / "endpoint.json").read_bytes())
        except FileNotFoundError:
            time.sleep(0.001)
    raise TimeoutError(f"no daemon in {home}")


class Ours(Peer):
    """This project, with discovery off. Every child has this very process as its owner."""

    name = "godot-supervisor"
    discover = "off"

    def version(self) -> str:
        """See `Peer`."""
        return said_by(str(PROGRAMS / "godot-supervisor"), "version")

    @property
    def home(self) -> Path:
        """The daemon's home folder."""
        return self.folder / "home"

    def environment(self) -> dict[str, str]:
        """With a home folder of its own."""
        return {**super().environment(), "GODOT_SUPERVISOR_HOME": str(self.home)}

    def configure(self, count: int) -> None:
        """See `Peer`."""
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(mode=0o700)
        kinds = [f"[kinds.c{index}]\ncommand = {json.dumps(self.child(index))}" for index in range(count)]
        text = "\n".join([f'[daemon]\ndiscover = "{self.discover}"', *kinds])
        (self.home / "config.toml").write_text(text, encoding="utf-8")

    def launch(self) -> None:
        """See `Peer`."""
        self.spawn(PROGRAMS / "python", "-m", "supervisor.daemon")
        self.connection = Connection(self.home)
        owner = {"pid": os.getpid()}
        self.connection.send("server.ensure", *({"kind": f"c{i}", "owner": owner} for i in range(self.children)))

    def status_command(self) -> list[str]:
        """See `Peer`."""
        return [str(PROGRAMS / "godot-supervisor"), "status"]

    def query(self) -> float:
        """See `Peer`."""
        begin = time.perf_counter()
        answer = self.connection.call("status")
        taken = time.perf_counter() - begin
        assert len(answer["servers"]) == self.children
        return taken

    def pid_of(self, index: int) -> int:
        """See `Peer`."""
        return int(self.connection.call("server.get", server=f"c{index}")["process"]["pid"])

    def await_ready(self, index: int) -> None:
        """Wait until the daemon has seen a child ready. A child that ends before that has failed to start, for good."""
        end = time.monotonic() + PATIENCE_S
        while (state := self.connection.call("server.get", server=f"c{index}")["state"]) != "ready":
            assert state == "starting", state
            assert time.monotonic() < end
            time.sleep(0.05)

    def shut_down(self) -> None:
        """Stop the daemon with its servers, which it would leave running otherwise."""
        self.connection.send("daemon.shutdown", {"servers": True})

    def stop(self, patience_s: float = 15) -> None:
        """See `Peer`."""
        super().stop(patience_s)
        self.connection.close()


class OursDiscovering(Ours):
    """The same with discovery as it is by default."""

    name = "godot-supervisor (discovering)"
    discover = "watch"
