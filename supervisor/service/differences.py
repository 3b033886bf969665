"""What an installed service says other than this installation would write."""

from collections.abc import Iterator, Mapping

VERSION = "version"
COMMAND = "command"

MARK = "Written by godot-supervisor "
"""Begins the remark in which settings that know no version carry one; a semicolon ends it."""


def differences(found: Mapping[str, str], wanted: Mapping[str, str]) -> tuple[str, ...]:
    """In words, one for each setting; nothing where they agree."""
    return tuple(_told(found, wanted))


def marked_version(text: str) -> str:
    """The version in a remark; empty: there is no such remark."""
    return text.partition(MARK)[2].partition(";")[0]


def _told(found: Mapping[str, str], wanted: Mapping[str, str]) -> Iterator[str]:
    for key, right in wanted.items():
        here = found.get(key, "")
        if here == right:
            continue
        if key == VERSION:
            yield f"written by version {here or 'unknown'}, and this is {right}"
        elif key == COMMAND:
            yield f"it starts {here or 'nothing'}, and this installation is {right}"
        else:
            yield f"{key} is {here or 'missing'} instead of {right}"
    for key in found.keys() - wanted.keys():
        yield f"{key} is {found[key]}, which this installation does not write"
