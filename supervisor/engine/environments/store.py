"""The folder of private environments on the disk: records of published environments, and folders of builds."""

import json
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.model import ProcessIdentity
from ...core.pep440 import matches
from ...errors import InvalidParams
from ...native import private_files, trust
from ...values import frozen

SCHEMA = 1
BUILDERS = "builders.json"
"""A file in every build that lists the daemon and the installers that work on the build."""

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[0-9]([A-Za-z0-9.!+_-]*[A-Za-z0-9])?")


@frozen
class Environment:
    """A published environment. `python` is its interpreter.

    `version` is the version that was requested, `installed` the one that is in it: 4.3 and 4.3.0. `made_with` is the
    version of the Python that made it, empty if an older daemon made it. `whole`: when it was built, every file existed
    that its packages list. `rebuilt_for` says why it has replaced another one, None if it has not.
    """

    path: Path
    python: Path
    package: str
    version: str
    installed: str
    made_with: str = ""
    whole: bool = False
    rebuilt_for: str | None = None

    @property
    def key(self) -> str:
        """The name of its record, by which users refer to it."""
        return key_of(self.package, self.version)

    @property
    def usable(self) -> bool:
        """Whether its interpreter exists. A link to a removed base Python is broken."""
        return self.python.exists()


@frozen
class PackageVersion:
    """A package in exactly one version. `checked` makes it, so that the texts are safe in file names and arguments."""

    package: str
    version: str
    key: str

    @classmethod
    def checked(cls, package: str, version: str) -> "PackageVersion":
        """Return the package and version, if both texts are valid.

        Raises:
            InvalidParams: one of them is not.
        """
        if not _NAME.fullmatch(package):
            raise InvalidParams("package", f"{package!r} is not a package name")
        if not _VERSION.fullmatch(version):
            raise InvalidParams("version", f"{version!r} is not an exact version", hint='use one like "4.3.0"')
        return cls(package, version, key_of(package, version))

    @property
    def requirement(self) -> str:
        """The requirement for an installer."""
        return f"{self.package}=={self.version}"


def key_of(package: str, version: str) -> str:
    """Return the key under which an environment is published. Equivalent spellings of a package have one key."""
    return f"{_normal(package)}-{version}"


class EnvironmentStore:
    """Reads and writes the records in one folder, which daemons of several homes may share.

    Each published environment has a record `KEY.json` in the folder. The environment itself lies in a folder beside its
    record, whose name is `KEY-` and a random hexadecimal number.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def find(self, wanted: PackageVersion) -> Environment | None:
        """Return the environment of a version, None if there is none. It may be unusable.

        A usable one under the version's own key comes first, then usable ones of equal versions, then the unusable one.
        """
        found = self.read(wanted.key)
        if found is not None and found.usable:
            return found
        equals = (
            other
            for other in self.published()
            if _normal(other.package) == _normal(wanted.package) and matches(wanted.version, other.installed)
        )
        return next((other for other in equals if other.usable), found)

    def published(self) -> list[Environment]:
        """Return every published environment, also one whose interpreter is missing."""
        keys = sorted(path.stem for path in self.root.glob("*.json"))
        return [found for key in keys if (found := self.read(key)) is not None]

    def read(self, key: str) -> Environment | None:
        """Return the environment published under this key, broken or not; None if there is none.

        Only folders that no other user can write to count.
        """
        if trust.problem_of_folder(self.root) is not None:
            return None
        content = read_json(self.root / f"{key}.json")
        texts = [content.get(name) for name in ("path", "python", "package", "version")]
        path, python, package, version = (text if isinstance(text, str) else "" for text in texts)
        if content.get("schema") != SCHEMA or not (python and package and version):
            return None
        # Compare the name too: `..` also has the root as its parent, and a recorded path may be removed later.
        if Path(path).parent != self.root or not re.fullmatch(rf"{re.escape(key)}-[0-9a-f]+", Path(path).name):
            return None
        installed, made_with, rebuilt_for = (content.get(name) for name in ("installed", "made_with", "rebuilt_for"))
        return Environment(
            Path(path),
            Path(python),
            package,
            version,
            installed if isinstance(installed, str) and installed else version,
            made_with if isinstance(made_with, str) else "",
            content.get("whole") is True,
            rebuilt_for if isinstance(rebuilt_for, str) else None,
        )

    def publish(self, environment: Environment, created: float) -> None:
        """Publish an environment: from now on every daemon finds it. Blocks.

        Raises:
            OSError: the record cannot be written.
        """
        content = {
            "schema": SCHEMA,
            "path": str(environment.path),
            "python": str(environment.python),
            "package": environment.package,
            "version": environment.version,
            "installed": environment.installed,
            "made_with": environment.made_with,
            "whole": environment.whole,
            "rebuilt_for": environment.rebuilt_for,
            "created": created,
        }
        write_json(self.root / f"{environment.key}.json", content)

    def note_builders(self, build: Path, builders: list[ProcessIdentity]) -> None:
        """Record which processes work on a build. The build may be removed only after all of them are dead."""
        named = [{"pid": one.pid, "start_token": one.start_token} for one in builders]
        write_json(build / BUILDERS, {"schema": SCHEMA, "builders": named})

    def note_replaced(self, build: Path) -> None:
        """Record that another environment has replaced the published build, which processes still run from.

        Raises:
            OSError: the record cannot be written.
        """
        write_json(build / BUILDERS, {"schema": SCHEMA, "replaced": True})

    def note_published(self, build: Path) -> None:
        """Record in a build that it was published, so that it is known later that its record was lost.

        Raises:
            OSError: it cannot be written.
        """
        write_json(build / BUILDERS, {**read_json(build / BUILDERS), "published": True})

    def was_published(self, build: Path) -> bool:
        """Return whether a build was published once."""
        return read_json(build / BUILDERS).get("published") is True

    def was_replaced(self, build: Path) -> bool:
        """Return whether another environment has replaced this build."""
        return read_json(build / BUILDERS).get("replaced") is True

    def builders(self, build: Path) -> list[ProcessIdentity]:
        """Return the recorded builders; none if one of them cannot be read."""
        try:
            content = read_json(build / BUILDERS).get("builders") or ()
            return [ProcessIdentity(int(one["pid"]), str(one["start_token"])) for one in content]
        except (TypeError, KeyError, ValueError):
            return []


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file, an empty one if the file is missing or unreadable."""
    try:
        content = json.loads(private_files.retry_while_open(path.read_bytes))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace a file by a JSON object.

    Raises:
        OSError: the old file stands.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    temporary.write_text(json.dumps(content), encoding="utf-8")
    try:
        private_files.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _normal(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()
