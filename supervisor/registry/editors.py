"""Encodes and decodes what the registry keeps of editors, and of other owners of servers."""

from typing import Any

from ..core.model import ClientName, Editor
from .entry_values import as_seconds, as_text, identity_entry, optional, read_identity


def editor_entry(editor: Editor) -> dict[str, Any]:
    """Return the entry of an editor. An earlier release reads an AI client as an editor, and so keeps its claims."""
    entry = {
        "id": editor.id,
        "process": identity_entry(editor.process),
        "project": editor.project,
        "started_at": editor.started_at,
        "engine": editor.engine,
        "engine_version": editor.engine_version,
        "name": editor.name,
    }
    client = editor.client
    if client is not None:
        entry["client"] = {"name": client.name, "version": client.version, "title": client.title}
    return entry


def read_editor(entry: Any) -> Editor:
    """Return the editor in an entry.

    Raises:
        KeyError, TypeError, AttributeError: the entry is damaged.
    """
    return Editor(
        id=as_text(entry["id"]),
        process=read_identity(entry["process"]),
        project=optional(as_text, entry.get("project")),
        started_at=optional(as_seconds, entry.get("started_at")),
        engine=optional(as_text, entry.get("engine")),
        engine_version=optional(as_text, entry.get("engine_version")),
        name=optional(as_text, entry.get("name")),
        client=optional(_read_client, entry.get("client")),
    )


def _read_client(entry: Any) -> ClientName:
    return ClientName(as_text(entry["name"]), as_text(entry["version"]), optional(as_text, entry.get("title")))
