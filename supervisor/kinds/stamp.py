"""The stamp of a recipe: what a launch depends on, kept with the server and compared with the recipe of today."""

import hashlib
import json
from collections.abc import Mapping, Sequence

from ..core.model import RecipeChange, RecipeStamp, ServerRecord, VersionSource
from ..core.pep440 import same_version
from .kind import Kind
from .versions import choose_version

_BY_RECIPE = (VersionSource.RECIPE, VersionSource.ENGINE)


def recipe_stamp(kind: Kind) -> RecipeStamp:
    """Return the stamp of a launch. Values of variables are only digests in it, because they may be secrets."""
    ports = {name: f"{each.low}-{each.high}" for name, each in kind.ports.items()}
    return RecipeStamp(command=_command_digest(kind), ports=ports, environment=_variable_digests(kind))


def changes_since_launch(record: ServerRecord, kind: Kind) -> tuple[RecipeChange, ...]:
    """Return which parts of the recipe have changed since a server was launched, as far as a restart would differ."""
    then = record.recipe
    if then is None:
        return ()
    found = []
    chosen = record.chosen
    if chosen is not None and chosen.source in _BY_RECIPE:
        version, _ = choose_version(kind, None, chosen.engine, None)
        if version is not None and not same_version(version, record.version):
            found.append(RecipeChange("version", f"{record.version}, now {version}"))
    if then.command != _command_digest(kind):
        found.append(RecipeChange("command", ""))
    if has_moved_ports(record, kind):
        now = ", ".join(f"{name} {each.low}-{each.high}" for name, each in kind.ports.items())
        held = ", ".join(f"{name} {port}" for name, port in record.ports.items())
        found.append(RecipeChange("ports", f"{held or 'none'}, now {now or 'none'}"))
    before, after = then.environment, _variable_digests(kind)
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    if names:
        found.append(RecipeChange("environment", ", ".join(names)))
    return tuple(found)


def has_moved_ports(record: ServerRecord, kind: Kind) -> bool:
    """Return whether a server's ports are no longer in its recipe's ranges.

    False for ports that a user chose outside of the ranges, because they stay.
    """
    if record.ports.keys() != kind.ports.keys():
        return True
    at_launch = record.recipe.ports if record.recipe else {}
    chosen_by_user = any(not _inside(at_launch.get(name, ""), port) for name, port in record.ports.items())
    return not chosen_by_user and any(record.ports[name] not in each.numbers for name, each in kind.ports.items())


def _inside(range_text: str, port: int) -> bool:
    low, _, high = range_text.partition("-")
    return low.isdecimal() and high.isdecimal() and int(low) <= port <= int(high)


def _command_digest(kind: Kind) -> str:
    """Return the digest of the package and the command line."""
    return _digest([kind.package, *kind.command])


def _variable_digests(kind: Kind) -> Mapping[str, str]:
    """Return the digest of each variable's value."""
    return {name: _digest([value]) for name, value in {**kind.defaults, **kind.env}.items()}


def _digest(texts: Sequence[str | None]) -> str:
    return hashlib.blake2b(json.dumps(texts).encode(), digest_size=4, person=b"recipe").hexdigest()
