"""The examination of a private environment by its own interpreter: the script, its report, and the conclusions."""

import json
from collections.abc import Sequence
from typing import Any

from ...core.pep440 import matches
from ...kinds.kind import Kind
from ...values import frozen
from .store import Environment

MARK = "godot-supervisor examined: "
"""Precedes the report, because an interpreter may print other lines, too."""

SCRIPT = f"""\
import importlib.metadata, importlib.util, json, os, sys
package, module = sys.argv[1:]
said = {{"python": ".".join(map(str, sys.version_info[:3])), "version": None, "module": True}}
said |= {{"lost": [], "lost_count": 0}}
try:
    said["version"] = importlib.metadata.version(package)
except importlib.metadata.PackageNotFoundError:
    pass
if module:
    try:
        said["module"] = importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        said["module"] = False
sizes = {{}}
for distribution in importlib.metadata.distributions():
    for file in distribution.files or ():
        if file.hash is not None:
            sizes.setdefault(str(distribution.locate_file(file)), []).append(file.size)
for path, listed in sizes.items():
    try:
        size = os.stat(path).st_size
    except OSError:
        size = None
    if size is None or not os.access(path, os.R_OK) or len(listed) == 1 and listed[0] not in (None, size):
        said["lost_count"] += 1
        if len(said["lost"]) < 3:
            said["lost"].append(path)
print({MARK!r} + json.dumps(said))
"""
"""The script that the environment's own interpreter runs in isolated mode. It imports none of the installed packages.

A file that several packages list may have the size of any of them. A file without a hash was made at installation.
"""


@frozen
class EnvironmentReport:
    """The facts that an interpreter reports about its environment.

    `python` is the version of the interpreter, `version` that of the package, None if the package is not installed.
    `lost` are the first of the files that are missing, unreadable, or of another size; `lost_count` counts them all.
    """

    python: str
    version: str | None
    module_found: bool
    lost: tuple[str, ...]
    lost_count: int

    def refusal(self, package: str, version: str, module: str | None) -> str | None:
        """Return why an environment must not be used, None if it may be. The text is for people."""
        if self.version is None:
            return f"{package} is not in it"
        if not matches(version, self.version):
            return f"it has {package} {self.version}, not {version}"
        if not self.module_found:
            return f"{package} is in it, but no module {module!r}"
        return None

    def damage(self, environment: Environment, module: str | None) -> str | None:
        """Return how a published environment has changed, None if it has not. The text is for people."""
        if environment.made_with and self.python != environment.made_with:
            changed = f"its Python is now {self.python}, but it was made with {environment.made_with}"
        else:
            changed = None
        refused = self.refusal(environment.package, environment.version, module)
        if refused is not None:
            return f"{changed}, and {refused}" if changed else refused
        if environment.whole and self.lost_count:
            more = f" and {self.lost_count - 1} more" if self.lost_count > 1 else ""
            return f"files of it are missing or were changed: {self.lost[0]}{more}"
        return changed


def interpreter_arguments(package: str, module: str | None) -> tuple[str, ...]:
    """Return the arguments of an interpreter that examines its environment."""
    return ("-I", "-c", SCRIPT, package, (module or "").partition(".")[0])


def read_report(lines: Sequence[str]) -> EnvironmentReport | None:
    """Return the interpreter's report, None if its output has none."""
    for line in reversed(lines):
        if line.startswith(MARK):
            try:
                return _report_from(json.loads(line.removeprefix(MARK)))
            except (ValueError, KeyError, TypeError):
                return None
    return None


def module_of(kind: Kind) -> str | None:
    """Return the module that a kind runs, None if its command does not run one."""
    words = iter(kind.command)
    if next(words, None) != "{python}":
        return None
    # The first word that is not an option is a script; the words after it are the script's arguments.
    option = next((word for word in words if word == "-m" or not word.startswith("-")), None)
    module = next(words, None) if option == "-m" else None
    return module if module and "{" not in module else None


def _report_from(content: Any) -> EnvironmentReport:
    version = content["version"]
    lost = tuple(str(path) for path in content["lost"])
    return EnvironmentReport(
        str(content["python"]),
        None if version is None else str(version),
        content["module"] is True,
        lost,
        int(content["lost_count"]),
    )
