"""Enables a plugin in the text of a `project.godot`, and disables it. Nothing else in the text changes. Pure."""

import re
from collections.abc import Sequence

from ..kinds.godot_config import Entry, entries, value_in

SECTION, KEY = "editor_plugins", "enabled"
FORMAT = "5"
"""The format of projects of Godot 4, `config_version`."""
OLDEST_ENGINE = (4, 3)

_ITEM_OR_COMMENT = re.compile(r'"((?:[^"\\]|\\.)*)"|;[^\n]*', re.DOTALL)
_COMMENT = re.compile(r";[^\n]*")
_EMPTY_ARRAY = re.compile(r"(Array\[String\]\(\[|(?:Packed|Pool)StringArray\s*\(|\[)(?:\s|;[^\n]*\n)*[)\]]+")
_ANY_HEADING = re.compile(r"\[[^\]\n]*\]")
_HEADING = re.compile(r"^\[[ \t]*editor_plugins[ \t]*\][^\r\n]*(\r?\n|\Z)", re.MULTILINE)
_ENGINE = re.compile(r'"([0-9]+)\.([0-9]+)(?:\.[0-9]+)?"')


class UneditableError(Exception):
    """The text cannot be changed without doubt about what else would change. The text is for people."""


def why_unsuitable(text: str) -> str | None:
    """Return why this project cannot have a plugin for Godot 4.3. Returns None if it can."""
    version = value_in(text, "", "config_version")
    if version is not None and version != FORMAT:
        return f"it has config_version={version}, and projects of Godot 4 have {FORMAT}"
    features = value_in(text, "application", "config/features") or ""
    engine = _ENGINE.search(features)
    if engine is not None and (int(engine[1]), int(engine[2])) < OLDEST_ENGINE:
        return f"it was last saved by Godot {engine[1]}.{engine[2]}, and the addon needs 4.3 or later"
    return None


def is_enabled(text: str, plugin: str) -> bool:
    """Return whether the project enables the plugin with this `res://…/plugin.cfg`."""
    entry = _entry(text)
    return entry is not None and plugin in _names(text, entry)


def enable(text: str, plugin: str) -> str:
    """Return the text with the plugin enabled.

    Raises:
        UneditableError: the text is damaged, or has a form that Godot does not write.
    """
    if is_enabled(text, plugin):
        return text
    return _checked(text, _inserted(text, plugin), plugin, enabled=True)


def disable(text: str, plugin: str) -> str:
    """Return the text without the plugin. Of a text that `enable` has changed, this is the text before.

    Raises:
        UneditableError: the text is damaged, or has a form that Godot does not write.
    """
    if not is_enabled(text, plugin):
        return text
    return _checked(text, _removed(text, plugin), plugin, enabled=False)


def _inserted(text: str, plugin: str) -> str:
    line_end = _line_end(text)
    entry = _entry(text)
    if entry is not None:
        value = text[entry.start : entry.end]
        items = _items(text, entry)
        if items:
            at = items[-1].end()
            return f'{text[:at]}, "{plugin}"{text[at:]}'
        opening = _EMPTY_ARRAY.fullmatch(value)
        if opening is None:
            raise UneditableError(f"[{SECTION}] {KEY} is {value[:60]!r}")
        at = entry.start + opening.end(1)
        return f'{text[:at]}"{plugin}"{text[at:]}'
    heading = _heading(text)
    if heading is not None:
        before = text[: heading.end()]
        gap = "" if heading[1] else line_end
        return f"{before}{gap}{_line(plugin, line_end)}{text[heading.end() :]}"
    gap = "" if not text or text.endswith("\n") else line_end
    return f"{text}{gap}{_section(plugin, line_end)}"


def _removed(text: str, plugin: str) -> str:
    line_end = _line_end(text)
    found = _plugin_entries(text)
    # An earlier entry would count again.
    if len(found) == 1:
        section, line = _section(plugin, line_end), _line(plugin, line_end)
        if text.endswith(section):
            return text.removesuffix(section)
        heading = _heading(text)
        if heading is not None and text.startswith(line, heading.end()):
            return text[: heading.end()] + text[heading.end() + len(line) :]
    while found:
        items = _items(text, found[-1])
        at = next((index for index, item in enumerate(items) if item[1] == plugin), None)
        if at is None:
            break
        text = _without_item(text, found[-1], items, at)
        found = _plugin_entries(text)
    return text


def _without_item(text: str, entry: Entry, items: Sequence[re.Match[str]], at: int) -> str:
    """Return the text without an item of an array, and without one of the commas beside it. Comments stay."""
    start, end = items[at].span()
    begin = items[at - 1].end() if at > 0 else start
    following = items[at + 1].start() if at + 1 < len(items) else entry.end
    before, after = text[begin:start], text[end:following]
    if at > 0 and ";" not in before:
        return text[:begin] + text[end:]
    if at == 0 and len(items) > 1 and ";" not in after:
        return text[:start] + text[following:]
    comma = re.match(r"\s*,[ \t]*", after)
    if comma is not None:
        return text[:start] + text[end + comma.end() :]
    return text[:begin] + before.replace(",", "", 1) + text[end:]


def _checked(before: str, after: str, plugin: str, *, enabled: bool) -> str:
    """Return the changed text if it says what it shall say, and all else as before."""

    def others(text: str) -> list[tuple[str, str, str]]:
        of_plugins = (SECTION, KEY)
        return [
            (each.section, each.key, each.value) for each in entries(text) if (each.section, each.key) != of_plugins
        ]

    def plugins(text: str) -> Sequence[str]:
        entry = _entry(text)
        return [] if entry is None else [each for each in _names(text, entry) if each != plugin]

    if is_enabled(after, plugin) != enabled or others(before) != others(after) or plugins(before) != plugins(after):
        raise UneditableError("it is damaged: Godot may read it in another way than this program")
    return after


def _entry(text: str) -> Entry | None:
    """Return the entry that counts: Godot takes the last one."""
    return next(reversed(_plugin_entries(text)), None)


def _plugin_entries(text: str) -> list[Entry]:
    """Return the entries that name plugins.

    Godot takes a line that is no entry, such as one with `#`, for the beginning of the next key or section, which so
    gets another name.
    """
    found, end, is_section = [], 1 if text.startswith("\ufeff") else 0, True
    for entry in entries(text):
        between, headings = _ANY_HEADING.subn("", _COMMENT.sub("", text[end : entry.begins_at]))
        is_key = not between.strip()
        is_section = is_key if headings else is_section
        if (entry.section, entry.key) == (SECTION, KEY) and is_key and is_section:
            found.append(entry)
        end = entry.end
    return found


def _items(text: str, entry: Entry) -> list[re.Match[str]]:
    return [item for item in _ITEM_OR_COMMENT.finditer(text, entry.start, entry.end) if item[1] is not None]


def _names(text: str, entry: Entry) -> list[str]:
    return [item[1] for item in _items(text, entry)]


def _heading(text: str) -> re.Match[str] | None:
    """Return the heading of the section, unless the same letters stand in a string."""
    for heading in _HEADING.finditer(text):
        if not any(entry.start <= heading.start() < entry.end for entry in entries(text)):
            return heading
    return None


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _line(plugin: str, line_end: str) -> str:
    return f'{KEY}=PackedStringArray("{plugin}"){line_end}'


def _section(plugin: str, line_end: str) -> str:
    return f"{line_end}[{SECTION}]{line_end}{line_end}{_line(plugin, line_end)}"
