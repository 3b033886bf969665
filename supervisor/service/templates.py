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
    """Return a template with `values` in place of its placeholders. They must be quoted for its format already."""
    try:
        folder: Traversable = resources.files(UNITS)
    except ModuleNotFoundError:
        # The program runs from its sources, without having been installed.
        folder = SOURCES
    return Template(folder.joinpath(template).read_text(encoding="utf-8")).substitute(values)


def command_for_systemd(words: Sequence[str]) -> str:
    """Return a command line for a unit file, quoted so that nothing in it is expanded.

    Raises:
        InvalidParams: a word has characters that a unit file cannot contain.
    """
    # systemd expands variables in all words but the first, and `$$` is a `$` (systemd.service(5), Command lines).
    program, *arguments = (for_systemd(word) for word in words)
    return " ".join([program, *(word.replace("$", "$$") for word in arguments)])


def for_systemd(word: str) -> str:
    """Return a word for a place in a unit file where `$` has no meaning, as after `Environment=` (systemd.exec(5)).

    Raises:
        InvalidParams: the word has characters that a unit file cannot contain.
    """
    _check_printable(word)
    for letter, written in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%")):
        word = word.replace(letter, written)
    return f'"{word}"'


def for_xml(text: str) -> str:
    """Return text for the content of an XML element.

    Raises:
        InvalidParams: the text has characters that XML cannot contain.
    """
    _check_printable(text)
    return escape(text)


def _check_printable(text: str) -> None:
    if not text.isprintable():
        raise InvalidParams("path", f"{text!r} has characters that a service's settings cannot contain")
