"""Notes for the user on a server: on its version, and on the ports where its plugin looks."""

from ....core.model import ServerRecord, VersionChoice, VersionSource
from ....core.pep440 import same_version
from ....kinds.kind import Kind
from ....kinds.versions import choose_version
from ...state.context import EngineContext
from .choice import first_ports, plugin_looks_text

_BY_RECIPE = (VersionSource.RECIPE, VersionSource.ENGINE)


def notes_on(context: EngineContext, record: ServerRecord) -> tuple[str, ...]:
    """Return the notes on a server, for people: sentences without a full stop, none if there is nothing to say."""
    kind, chosen = context.catalog.kinds.get(record.kind), record.chosen
    if kind is None or chosen is None:
        return ()
    notes = (chosen.passed_over, _on_ports(kind, record, chosen), _on_recipe_version(kind, record, chosen))
    return tuple(note for note in notes if note is not None)


def _on_ports(kind: Kind, record: ServerRecord, chosen: VersionChoice) -> str | None:
    """Return the note that a plugin which does not know this daemon does not find the server, None if it does."""
    if chosen.beside is None or chosen.project is None or not record.ports or dict(record.ports) == first_ports(kind):
        return None
    return f"{plugin_looks_text(kind)}; {chosen.beside} held them when this server was started"


def _on_recipe_version(kind: Kind, record: ServerRecord, chosen: VersionChoice) -> str | None:
    """Return the note that the recipe has another version than the server, None if it has not, or does not decide."""
    asked = chosen.source is VersionSource.ASKED and chosen.project is None
    if record.foreign or not (asked or chosen.source in _BY_RECIPE):
        return None
    version, _ = choose_version(kind, None, chosen.engine, None)
    if version is None or record.version is None or same_version(version, record.version):
        return None
    if asked:
        return f"its recipe has version {version}: godot-supervisor up {kind.name} --version {version}"
    return f"its recipe has version {version} now: godot-supervisor restart {record.id}"
