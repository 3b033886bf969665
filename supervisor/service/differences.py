"""Differences between an installed service and the one that this installation would write."""

from collections.abc import Iterator, Mapping

VERSION = "version"
COMMAND = "command"

MARK = "Written by godot-supervisor "
"""The beginning of a comment with the version, for settings without a field for it. A semicolon ends the version."""


def differences(found: Mapping[str, str], wanted: Mapping[str, str]) -> tuple[str, ...]:
    """Return a sentence for each setting that differs, for users.

    `found` are the settings of the installed service, `wanted` those of this installation: values by name. `VERSION`
    and `COMMAND` are names too.
    """
    return tuple(_sentences(found, wanted))


def marked_version(text: str) -> str:
    """Return the version in the comment that begins with `MARK`; empty if there is no such comment."""
    return text.partition(MARK)[2].partition(";")[0]


def _sentences(found: Mapping[str, str], wanted: Mapping[str, str]) -> Iterator[str]:
    for key, value in wanted.items():
        installed = found.get(key, "")
        if installed == value:
            continue
        if key == VERSION:
            yield f"written by version {installed or 'unknown'}, and this is {value}"
        elif key == COMMAND:
            yield f"it starts {installed or 'nothing'}, and this installation is {value}"
        else:
            yield f"{key} is {installed or 'missing'} instead of {value}"
    for key in found.keys() - wanted.keys():
        yield f"{key} is {found[key]}, which this installation does not write"
