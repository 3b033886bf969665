"""Ranges of versions, and the choice of a server's version. Ranges order versions by their release numbers."""

import operator
import re
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from ..core.model import VersionChoice, VersionSource
from ..core.pep440 import canonical, matches, parse, significant
from ..errors import VersionConflict
from ..values import frozen
from .addon import AddonSeen
from .kind import Kind

ReleaseNumber = tuple[int, ...]

_NUMBER = re.compile(r"\s*v?(\d+(?:\.\d+)*)")
_EPOCH = 1 << 40
"""The weight of an epoch: more than any number in a release."""

_CLAUSE = re.compile(r"\s*(<=|>=|==|!=|<|>)\s*(\d+(?:\.\d+)*)\s*")
_COMPARE: dict[str, Callable[[ReleaseNumber, ReleaseNumber], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def release_number(text: str) -> ReleaseNumber | None:
    """Return the dotted number that a version begins with, without trailing zeros, or None.

    "4.6.3-stable (official)" is (4, 6, 3). A pre-release counts as its release: Godot 4.7-beta1 speaks 4.7's protocol.
    """
    version = parse(text)
    if version is not None:
        epoch = (version.epoch * _EPOCH,) if version.epoch else ()
        return (*epoch, *significant(version.release))
    found = _NUMBER.match(text)
    return _significant(found[1]) if found else None


@frozen
class VersionRange:
    """A range of versions: those that satisfy every clause."""

    clauses: tuple[tuple[str, ReleaseNumber], ...]

    @classmethod
    def parse(cls, text: str) -> "VersionRange":
        """Read "<4.7" or ">=4.5,<4.7".

        Raises:
            ValueError: the text is not such a range. The error shows an example.
        """
        clauses = []
        for part in text.split(","):
            found = _CLAUSE.fullmatch(part)
            if not found:
                raise ValueError(f'{text!r} is not a range of versions like "<4.7" or ">=4.5,<4.7"')
            clauses.append((found[1], _significant(found[2])))
        return cls(tuple(clauses))

    def __contains__(self, version: ReleaseNumber) -> bool:
        return all(_COMPARE[sign](version, bound) for sign, bound in self.clauses)


def covers(range_text: str, version: str) -> bool:
    """Return whether a version lies in a range. A version without a number lies in no range.

    Raises:
        ValueError: the range cannot be read.
    """
    found = release_number(version)
    return found is not None and found in _parsed(range_text)


def excludes(range_text: str | None, version: str | None) -> bool:
    """Return whether a version is known to lie outside a range. False if there is no range, or no number.

    Raises:
        ValueError: the range cannot be read.
    """
    found = release_number(version) if version is not None and range_text is not None else None
    return found is not None and found not in _parsed(range_text or "")


def kind_for_version(kind: Kind, version: str | None) -> Kind:
    """Return the kind without the features that its servers of this version lack: `identify`, or a bridge."""
    if kind.identify is not None and excludes(kind.identify.versions, version):
        kind = replace(kind, identify=None)
    return replace(kind, connect=()) if kind.connect and excludes(kind.connect_versions, version) else kind


def version_for(kind: Kind, wanted: str | None, engine_version: str | None) -> str | None:
    """Return the server version to run: the requested one, else the engine's, else the kind's, which may be None.

    The version that a kind names for a range of engines is the newest that works there. Older ones may be requested.

    Raises:
        VersionConflict: the requested version is too new for this engine. `data.works` is the newest one that works.
    """
    for_engine = _version_for_engine(kind, engine_version)
    if wanted is None:
        return for_engine or kind.version
    wanted = canonical(wanted)
    if for_engine is not None and _newer(wanted, for_engine):
        raise VersionConflict(
            f"{kind.name} {wanted} does not work with engine {engine_version}",
            hint=f"{for_engine} works: ask for it, or for no version",
            data={"kind": kind.name, "requested": wanted, "engine_version": engine_version, "works": for_engine},
        )
    return wanted


def choose_version(
    kind: Kind, wanted: str | None, engine_version: str | None, addon: AddonSeen | None
) -> tuple[str | None, VersionChoice]:
    """Return the server version to run and the reason: the requested one, else the addon's, engine's or recipe's.

    The addon's version is used if it can be installed and works with the engine. `addon` is None if the project has no
    addon.

    Raises:
        VersionConflict: the requested version is too new for this engine.
    """
    version = version_for(kind, wanted, engine_version)
    project = addon.project if addon is not None else None
    passed_over = _why_passed_over(kind, engine_version, addon)
    if wanted is not None:
        if addon is not None and addon.version is not None and not matches(addon.version, version or ""):
            passed_over = f"{addon.file} has {addon.version}: its plugin does not use another version"
        return version, VersionChoice(VersionSource.ASKED, "as asked for", project, engine_version, passed_over)
    if addon is not None and passed_over is None:
        why = f"from {addon.file} in {addon.project}"
        return addon.version, VersionChoice(VersionSource.ADDON, why, project, engine_version)
    if _version_for_engine(kind, engine_version) is not None:
        why = f"the newest for engine {engine_version}, from its recipe"
        return version, VersionChoice(VersionSource.ENGINE, why, project, engine_version, passed_over)
    why = "from its recipe" if version is not None else "as the server reports it"
    return version, VersionChoice(VersionSource.RECIPE, why, project, engine_version, passed_over)


def _why_passed_over(kind: Kind, engine_version: str | None, addon: AddonSeen | None) -> str | None:
    """Return why the addon's version is not used, or None if it is used or the project has no addon."""
    if addon is None:
        return None
    if addon.version is None:
        return f"{addon.file} in {addon.project} {addon.problem}"
    wants = f"{addon.file} in {addon.project} has {addon.version}"
    if addon.problem is not None:
        return f"{wants}, {addon.problem}: its plugin does not use another version"
    for_engine = _version_for_engine(kind, engine_version)
    if for_engine is not None and _newer(addon.version, for_engine):
        return f"{wants}, which does not work with engine {engine_version}"
    return None


def names_version_for_engine(kind: Kind, engine_version: str) -> bool:
    """Return whether a kind names a version of its own for this engine."""
    return _version_for_engine(kind, engine_version) is not None


def _version_for_engine(kind: Kind, engine_version: str | None) -> str | None:
    if engine_version is None:
        return None
    return next((version for engines, version in kind.engine.items() if covers(engines, engine_version)), None)


def _newer(version: str, bound: str) -> bool:
    """Return whether a version is newer than a bound. Every other version counts as newer if one has no number."""
    ours, limit = release_number(version), release_number(bound)
    if ours is None or limit is None:
        return version != bound
    return ours > limit


@lru_cache(maxsize=64)
def _parsed(text: str) -> VersionRange:
    return VersionRange.parse(text)


def _significant(dotted: str) -> ReleaseNumber:
    return significant(tuple(int(part) for part in dotted.split(".")))
