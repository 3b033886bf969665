"""One table of a configuration, read key by key. A wrong value is refused with its key and the fix."""

import re
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

from ..errors import ConfigInvalid, allowed_names, quoted

KEY_SHOWN = 200
"""Characters of a key that an error shows, at most."""

LONGEST_S = 1e15
"""Thirty million years. Clocks cannot tell a longer time from for ever."""

NOT_ZERO = ("ready_timeout_s",)
"""Times that must not be 0."""


def refuse(key: str, problem: str, fix: str) -> NoReturn:
    """Raise the error for a wrong key, with the fix as its hint. `key` is the full name.

    Raises:
        ConfigInvalid: always.
    """
    shown = key if len(key) <= KEY_SHOWN else f"{key[:KEY_SHOWN]}..."
    raise ConfigInvalid(f"{shown}: {problem}", hint=fix, data={"key": shown})


class Table:
    """One table, read key by key with the type that each must have.

    Every method but `at`, and the constructor, raises ConfigInvalid for a wrong key or value. `fix` is its hint.
    """

    def __init__(self, path: str, content: Mapping[str, Any], allowed: Collection[str] | None = None) -> None:
        self.path = path
        self.content = content
        unknown = [key for key in content if allowed is not None and key not in allowed]
        if unknown:
            refuse(self.at(unknown[0]), "no such key", allowed_names(unknown[0], sorted(allowed or ())))

    def at(self, key: str) -> str:
        """Return the full name of a key, for people."""
        return f"{self.path}.{key}"

    def text(self, key: str, form: re.Pattern[str] | None = None, fix: str = "write a text in quotes") -> str | None:
        """Return a text that is not empty and has this form, or None if the key is missing."""
        value = self.content.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or not value or "\0" in value or (form and not form.fullmatch(value)):
            refuse(self.at(key), f"{quoted(value)} is not possible here", fix)
        return value

    def words(self, key: str, form: re.Pattern[str] | None = None, fix: str = 'write ["a", "b"]') -> tuple[str, ...]:
        """Return a list of texts of this form, empty if the key is missing."""
        value = self.content.get(key, [])
        if not isinstance(value, list):
            refuse(self.at(key), "not a list of texts", fix)
        for word in value:
            if not isinstance(word, str) or "\0" in word or (form and not form.fullmatch(word)):
                refuse(self.at(key), f"{quoted(word)} is not possible here", fix)
        return tuple(value)

    def table(self, key: str, allowed: Collection[str] | None = None) -> "Table":
        """Return a table within this one, empty if the key is missing."""
        value = self.content.get(key, {})
        if not isinstance(value, Mapping):
            refuse(self.at(key), "not a table", f"write {key} = {{ … }}")
        return Table(self.at(key), value, allowed)

    def text_table(self, key: str, names: re.Pattern[str] | None = None) -> dict[str, str]:
        """Return a table of texts whose keys have the form of `names`."""
        table = self.table(key)
        for name, value in table.content.items():
            if names and not names.fullmatch(name):
                refuse(table.at(name), "no possible name", "use letters, digits and _")
            if not isinstance(value, str) or "\0" in value:
                refuse(table.at(name), "not a text", f'write {name} = "…"')
        return dict(table.content)

    def choice(self, key: str, options: Collection[str], default: str | None = None) -> str:
        """Return one of the options."""
        value = self.content.get(key, default)
        if not isinstance(value, str) or value not in options:
            refuse(self.at(key), f"{quoted(value)} is not possible here", "one of " + ", ".join(options))
        return value

    def seconds(self, key: str, default: float) -> float:
        """Return a finite time of at least 0 s."""
        value = self.content.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < LONGEST_S:
            refuse(self.at(key), "not a number of seconds", f"write {key} = {default:g}")
        if value < 0 or (value == 0 and key in NOT_ZERO):
            refuse(self.at(key), f"{value:g} s is too short", f"the default is {default:g}")
        return float(value)
