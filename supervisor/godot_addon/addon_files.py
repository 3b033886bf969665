"""The files of the addon: those that this release has, and those that an installation has written into a project."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

from ..mcp.ai_clients import client_file
from ..mcp.ai_clients.client_file import Content
from ..values import frozen

FOLDER = "addons/godot_supervisor"
PLUGIN = f"res://{FOLDER}/plugin.cfg"
MANIFEST = ".installed.json"
"""In the addon's folder: which release wrote which files. Godot does not look at files with such a name."""

_SOURCE = Path(__file__).parent / "godot_supervisor"
# A plain path, because installers unpack every wheel.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", re.ASCII)
_UNSTAMPED = 'version="0"'


@frozen
class Manifest:
    """The release that an installation came from, and the digest of each file that it has written, by name."""

    version: str
    digests: Mapping[str, str]


def packaged(version: str) -> dict[str, str]:
    """Return the files of this release by name. The version is stamped into `plugin.cfg`."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(_SOURCE.iterdir()) if path.is_file()}
    return {**texts, "plugin.cfg": texts["plugin.cfg"].replace(_UNSTAMPED, f'version="{version}"')}


def read(project: Path, name: str) -> Content:
    """Return a file of the addon in a project. Bytes that are no text are replaced in its text.

    Raises:
        ClientFileUnusable: see `client_file.read`.
    """
    return client_file.read(project / FOLDER / name, project, client_file.SHARED_MODE, is_text=False)


def read_manifest(project: Path) -> Manifest | None:
    """Return what the last installation has written. Returns None if nothing is known of one.

    Raises:
        ClientFileUnusable: the file cannot be read.
    """
    try:
        found = json.loads(read(project, MANIFEST).text or "")
        digests = {str(name): str(digest) for name, digest in found["files"].items()}
        # A name leads to a file that is removed, so it may not lead out of the folder.
        if not all(_PLAIN_NAME.fullmatch(name) for name in digests):
            return None
        return Manifest(str(found["version"]), digests)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def encode_manifest(version: str, files: Mapping[str, str]) -> str:
    """Return the content of the manifest for these files."""
    digests = {name: digest(text) for name, text in files.items()}
    return json.dumps({"version": version, "files": digests}, indent=1) + "\n"


def digest(text: str) -> str:
    """Return the digest of a text. Version control may have changed its line ends, which is no change by hand."""
    return hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest()
