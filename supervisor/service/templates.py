"""The templates of `service_units/`, filled in."""

from collections.abc import Mapping, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from xml.sax.saxutils import escape

from ..errors import InvalidParams

UNITS = f"{__package__}.units"
SOURCES = Path(__file__).parents[2] / "service_units"


def render(template: str, values: Mapping[str, str]) -> str:
    """A template with its placeholders filled in; the values are already quoted as its format wants them."""
    try:
        folder: Traversable = resources.files(UNITS)
    except ModuleNotFoundError:
        # It runs from its sources, without having been installed.
        folder = SOURCES
    return Template(folder.joinpath(template).read_text(encoding="utf-8")).substitute(values)


def command_for_systemd(words: Sequence[str]) -> str:
    """A command line in a unit file: quoted, nothing in it expanded.

    Raises:
        InvalidParams: it cannot be written down.
    """
    # In all words but the first variables are expanded, and `$$` is a `$` (systemd.service(5), Command lines).
    program, *arguments = (for_systemd(word) for word in words)
    return " ".join([program, *(word.replace("$", "$$") for word in arguments)])


def for_systemd(word: str) -> str:
    """A word in a unit file where `$` means nothing, as after `Environment=` (systemd.exec(5)).

    Raises:
        InvalidParams: it cannot be written down.
    """
    _printable(word)
    for letter, written in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%")):
        word = word.replace(letter, written)
    return f'"{word}"'


def for_xml(text: str) -> str:
    """Text between two tags.

    Raises:
        InvalidParams: it cannot be written down.
    """
    _printable(text)
    return escape(text)


def _printable(text: str) -> None:
    if not text.isprintable():
        raise InvalidParams("path", f"{text!r} has letters that cannot stand in a service's settings")
