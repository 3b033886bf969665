"""The floor in the benchmarks."""

import json
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

from tests.benchmarks.peer import HERE, Peer

LIGHT_PYTHON = (sys.executable, "-S", "-E")
"""Without site packages: a floor has none."""


class Floor(Peer):
    """See `floor.py`."""

    name = "asyncio floor"

    def version(self) -> str:
        """See `Peer`."""
        return f"Python {sys.version.split()[0]}"

    def configure(self, count: int) -> None:
        """See `Peer`."""
        (self.folder / "socket").unlink(missing_ok=True)
        (self.folder / "floor.json").write_text(json.dumps([self.child(i) for i in range(count)]), encoding="utf-8")
        self._connection: socket.socket | None = None

    def launch(self) -> None:
        """See `Peer`."""
        self.spawn(*LIGHT_PYTHON, HERE / "floor.py", self.folder)

    def status_command(self) -> Sequence[str]:
        """See `Peer`."""
        return [*LIGHT_PYTHON, str(HERE / "floor_client.py"), str(self.folder / "socket")]

    def query(self) -> float:
        """See `Peer`."""
        begin = time.perf_counter()
        answer = self._status()
        taken = time.perf_counter() - begin
        assert len(answer) == self.children
        return taken

    def pid_of(self, index: int) -> int:
        """See `Peer`."""
        return int(self._status()[str(index)])

    def stop(self, patience_s: float = 15) -> None:
        """See `Peer`."""
        if self._connection is not None:
            self._connection.close()
        super().stop(patience_s)

    def _status(self) -> Any:
        if self._connection is None:
            self._connection = socket.socket(socket.AF_UNIX)
            self._connection.connect(str(self.folder / "socket"))
        self._connection.sendall(b"status\n")
        said = b""
        while not said.endswith(b"\n"):
            said += self._connection.recv(65536)
        return json.loads(said)
