"""The programs npm and Node, which install packages of npm and run them.

A machine without npm gets npm and Node by the registry's HTTP; a machine with an old Node gets a newer one.
"""

import base64
import hashlib
import json
import platform
import shutil
import subprocess
import sys
import tarfile
import urllib.request
from io import BytesIO
from pathlib import Path

from filelock import FileLock

from tests import cache

NODE_MAJOR, NODE_VERSION = 22, "22.23.5"
NPM_VERSION = "11.19.1"
REGISTRY = "https://registry.npmjs.org"
FETCH_S = 120.0

_COMPLETE = ".complete"
"""A file that a finished installation leaves in its folder."""


def node() -> str:
    """Return the path of a Node that is new enough: the one on PATH, or one in the cache of tests."""
    found = shutil.which("node")
    if found is not None:
        said = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
        if int(said.lstrip("v").partition(".")[0]) >= NODE_MAJOR:
            return found
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return str(_fetch(f"node-{sys.platform}-{machine}", NODE_VERSION) / "bin" / "node")


def command() -> list[str]:
    """Return the command of npm: the one on PATH, or one in the cache of tests."""
    found = shutil.which("npm")
    return [found] if found is not None else [node(), str(_fetch("npm", NPM_VERSION) / "bin" / "npm-cli.js")]


def _fetch(name: str, version: str) -> Path:
    """Fetch a package without dependencies by HTTP, unless it is there, and return its folder."""
    folder = cache.clients() / f"{name}-{version}-fetched"
    with FileLock(f"{folder}.lock"):
        if not (folder / _COMPLETE).exists():
            shutil.rmtree(folder, ignore_errors=True)
            about = json.loads(_get(f"{REGISTRY}/{name}/{version}"))["dist"]
            content = _get(about["tarball"])
            kind, _, wanted = about["integrity"].partition("-")
            assert base64.b64encode(hashlib.new(kind, content).digest()).decode() == wanted, name
            with tarfile.open(fileobj=BytesIO(content)) as archive:
                archive.extractall(folder, filter="data")
            (folder / _COMPLETE).touch()
    return folder / "package"


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=FETCH_S) as answer:
        content: bytes = answer.read()
        return content
