"""`version`."""

import sys
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of

import click

from ..native.facts import SYSTEM
from . import options, output

DISTRIBUTION = "godot-supervisor"


@click.command
@options.as_json
def version(*, as_json: bool) -> None:
    """Show the version of this command."""
    number = _installed()
    python = ".".join(str(part) for part in sys.version_info[:3])
    if as_json:
        output.document({"version": number, "python": python, "system": SYSTEM})
    else:
        output.line(f"{DISTRIBUTION} {number or 'not installed'} (Python {python}, {SYSTEM})")


def _installed() -> str | None:
    """The version of the distribution; None: it runs from its sources."""
    try:
        return version_of(DISTRIBUTION)
    except PackageNotFoundError:
        return None
