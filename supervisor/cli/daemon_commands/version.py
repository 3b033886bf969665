"""The command `version`."""

import sys
from importlib.metadata import PackageNotFoundError

import click

from ...daemon.version import DISTRIBUTION, installed
from ...native.facts import SYSTEM_LABEL
from .. import options, output


@click.command
@options.as_json
def version(*, as_json: bool) -> None:
    """Show the versions of this program and of Python."""
    if as_json:
        output.document({"version": _version(), "python": _python(), "system": SYSTEM_LABEL})
    else:
        output.line(text())


def text() -> str:
    """Return the versions on one line."""
    return f"{DISTRIBUTION} {_version() or 'not installed'} (Python {_python()}, {SYSTEM_LABEL})"


def _python() -> str:
    return ".".join(str(part) for part in sys.version_info[:3])


def _version() -> str | None:
    """Return the version of the distribution. Returns None if the program runs from its sources."""
    try:
        return installed()
    except PackageNotFoundError:
        return None
