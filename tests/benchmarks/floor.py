"""The smallest honest asyncio supervisor, as a floor to compare with. No product: it decides nothing.

usage: floor.py FOLDER      (FOLDER/floor.json: the children's command lines)

A pidfd for each child, an immediate restart, pid and start time written atomically, status as a line of JSON.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path


class Floor:
    """All of it."""

    def __init__(self, folder: Path) -> None:
        self._state, self._socket = folder / "state.json", folder / "socket"
        self._commands: list[list[str]] = json.loads((folder / "floor.json").read_bytes())
        self._children: dict[int, tuple[int, int]] = {}

    async def run(self) -> None:
        """Until SIGTERM."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGTERM, self._end)
        await asyncio.start_unix_server(self._serve, self._socket)
        for index in range(len(self._commands)):
            self._spawn(index)
        self._write()
        await asyncio.Event().wait()

    def _spawn(self, index: int) -> None:
        program, *_ = command = self._commands[index]
        pid = os.posix_spawn(program, command, os.environ)
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        self._children[index] = pid, int(fields[19])
        pidfd = os.pidfd_open(pid)
        self._loop.add_reader(pidfd, self._ended, index, pid, pidfd)

    def _ended(self, index: int, pid: int, pidfd: int) -> None:
        self._loop.remove_reader(pidfd)
        os.close(pidfd)
        os.waitpid(pid, 0)
        self._spawn(index)
        self._write()

    def _write(self) -> None:
        draft = self._state.with_name("state.new")
        draft.write_text(json.dumps(self._children), encoding="ascii")
        draft.replace(self._state)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            writer.write(json.dumps({index: pid for index, (pid, _) in self._children.items()}).encode() + b"\n")
        writer.close()

    def _end(self) -> None:
        for pid, _ in self._children.values():
            os.kill(pid, signal.SIGTERM)
        os._exit(0)


if __name__ == "__main__":
    asyncio.run(Floor(Path(sys.argv[1])).run())
