"""The cost of one look of discovery: `python -m tests.benchmarks.look`.

Without a server on the ports of the kinds; with a program there that is none; with the small real server.
"""

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from supervisor.core.model import RegistryContents
from supervisor.engine.assembly import Site, assemble
from supervisor.kinds.catalog import Catalog
from supervisor.native.platforms import open_platform
from tests.catalogs import catalog_of
from tests.e2e.home import SERVERS, eventually, free_ports, is_free
from tests.engine.harness import EventRecorder

LOOKS = 100
TOY = str(SERVERS / "toy.py")


class Nowhere:
    """A registry that keeps nothing."""

    def write(self, state: RegistryContents) -> None:
        pass


def catalog(ports: range) -> Catalog:
    """Return the catalog with the toy, laid over the built-in kinds that the tests know."""
    toy = {
        "command": [sys.executable, TOY, "{http}", "{sessions}"],
        "ports": {"http": f"{ports[0]}-{ports[3]}", "sessions": f"{ports[4]}-{ports[7]}"},
        "identify": {"http": "/", "match": {"name": "e2e-toy"}, "version": "version"},
        "sessions": {"tcp": "sessions"},
    }
    return catalog_of({"toy": toy})


@contextmanager
def toy(ports: range) -> Iterator[None]:
    """Run a toy server that the daemon did not start."""
    with subprocess.Popen([sys.executable, TOY, str(ports[0]), str(ports[4])], stdout=subprocess.DEVNULL) as process:
        eventually(lambda: not is_free(ports[0]), "the toy listens")
        yield
        process.kill()


async def looks(ports: range, *, forget: bool) -> list[float]:
    """How long each look takes, milliseconds. `forget`: what is found is found anew each time."""
    platform = open_platform()
    me = platform.probe.identify(os.getpid())
    assert me is not None
    folder = Path(tempfile.mkdtemp())
    site = Site("bench", folder, folder, {}, "watch")
    engine = assemble(platform, Nowhere(), EventRecorder(), catalog(ports), me, site)
    discovery: Any = engine.supervisor.discovery
    times = []
    for _ in range(LOOKS):
        started = time.perf_counter()
        await discovery.look()
        times.append((time.perf_counter() - started) * 1000)
        if forget:
            engine.context.records.servers.clear()
    return times


def main() -> None:
    ports = free_ports(8)
    worlds = {
        "nobody listens": (nullcontext, False),
        "a program that is none": (lambda: socket.create_server(("127.0.0.1", ports[0])), False),
        "a server, found anew": (lambda: toy(ports), True),
        "a server, known": (lambda: toy(ports), False),
    }
    for name, (world, forget) in worlds.items():
        with world():
            spent = time.process_time()
            times = asyncio.run(looks(ports, forget=forget))
            cpu = (time.process_time() - spent) * 1000 / LOOKS
        median, p95 = statistics.median(times), sorted(times)[94]
        sys.stdout.write(f"{name:24} median {median:7.3f} ms  p95 {p95:7.3f} ms  cpu {cpu:6.3f} ms\n")


if __name__ == "__main__":
    main()
