"""Whether two texts name the same version, as PEP 440 reads them: 4.3 is 4.3.0, 1.0RC1 is 1.0-rc.1."""

import re

Version = tuple[int, tuple[int, ...], tuple[str, int] | None, int | None, int | None, str | None]

_VERSION = re.compile(
    r"""\s*v?
    (?:(?P<epoch>[0-9]+)!)?
    (?P<release>[0-9]+(?:\.[0-9]+)*)
    (?:[-_.]?(?P<phase>a|b|c|rc|alpha|beta|pre|preview)[-_.]?(?P<pre>[0-9]*))?
    (?P<post>-(?P<bare>[0-9]+)|[-_.]?(?:post|rev|r)[-_.]?(?P<named>[0-9]*))?
    (?:[-_.]?(?P<dev>dev)[-_.]?(?P<number>[0-9]*))?
    (?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?
    \s*""",
    re.VERBOSE | re.IGNORECASE,
)
_PHASES = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}


def parsed(text: str) -> Version | None:
    """Return a value that is equal for equal versions; None if the text is no version of PEP 440."""
    found = _VERSION.fullmatch(text)
    if found is None:
        return None
    release = [int(part) for part in found["release"].split(".")]
    while len(release) > 1 and release[-1] == 0:
        release.pop()
    phase = (found["phase"] or "").lower()
    local = found["local"]
    return (
        int(found["epoch"] or 0),
        tuple(release),
        (_PHASES.get(phase, phase), int(found["pre"] or 0)) if phase else None,
        int(found["bare"] or found["named"] or 0) if found["post"] else None,
        int(found["number"] or 0) if found["dev"] else None,
        ".".join(part.lstrip("0") or "0" if part.isdecimal() else part for part in re.split(r"[-_.]", local.lower()))
        if local
        else None,
    )


def same_version(one: str, other: str) -> bool:
    """Whether both name the same version. Texts that PEP 440 cannot read are compared as they are."""
    if one == other:
        return True
    left = parsed(one)
    return left is not None and left == parsed(other)
