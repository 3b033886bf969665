"""Notes for the user on a server: on its version, and on the ports where its plugin looks."""

from ....core.model import ServerRecord, VersionSource
from ....core.pep440 import same_version
from ....kinds.kind import Kind
from ....kinds.versions import choose_version
from ...state.context import EngineContext
from .choice import first_ports, plugin_looks_text

_BY_RECIPE = (VersionSource.RECIPE, VersionSource.ENGINE)


def notes_on(context: EngineContext, record: ServerRecord) -> tuple[str, ...]:
    """Return the notes on a server, for people."""
    kind, chosen = context.catalog.kinds.get(record.kind), record.chosen
    if kind is None or chosen is None:
        return ()
    elsewhere = None
    if (
        chosen.beside is not None
        and chosen.project is not None
        and record.ports
        and dict(record.ports) != first_ports(kind)
    ):
        elsewhere = f"{plugin_looks_text(kind)}; {chosen.beside} held them when this server was started"
    return tuple(note for note in (chosen.passed_over, elsewhere, _outdated(kind, record)) if note is not None)


def _outdated(kind: Kind, record: ServerRecord) -> str | None:
    chosen = record.chosen
    asked = chosen is not None and chosen.source is VersionSource.ASKED and chosen.project is None
    if chosen is None or record.foreign or not (asked or chosen.source in _BY_RECIPE):
        return None
    version, _ = choose_version(kind, None, chosen.engine, None)
    if version is None or record.version is None or same_version(version, record.version):
        return None
    if asked:
        return f"its recipe has version {version}: godot-supervisor up {kind.name} --version {version}"
    return f"its recipe has version {version} now: godot-supervisor restart {record.id}"
