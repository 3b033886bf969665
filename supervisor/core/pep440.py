"""Versions as PEP 440 reads them: which texts are one, which are equal, and in which order they stand. Pure.

The daemon does without `packaging`: it needs to compare and to name, and pays for each import with memory.
"""

import re
from functools import lru_cache

from ..values import frozen

LONGEST = 64
"""Characters of a version that is read. Longer texts are none: whoever sends them wants something else."""

_FORM = re.compile(
    r"""v?
    (?:(?P<epoch>[0-9]+)!)?
    (?P<release>[0-9]+(?:\.[0-9]+)*)
    (?:[-_.]?(?P<pre>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<pre_n>[0-9]+)?)?
    (?P<post>-(?P<post_n1>[0-9]+)|[-_.]?(?:post|rev|r)[-_.]?(?P<post_n2>[0-9]+)?)?
    (?P<dev>[-_.]?dev[-_.]?(?P<dev_n>[0-9]+)?)?
    (?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?""",
    re.VERBOSE,
)
_PRE = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}

Part = tuple[int, int | str]


@frozen
class Version:
    """A version, taken apart. `pre` is its letter and number; `local` what stands behind the plus, None for nothing."""

    epoch: int
    release: tuple[int, ...]
    pre: tuple[str, int] | None = None
    post: int | None = None
    dev: int | None = None
    local: tuple[Part, ...] | None = None

    @property
    def text(self) -> str:
        """The version in its normal form. Zeros at the end of the release stay: they are part of a file's name."""
        epoch = f"{self.epoch}!" if self.epoch else ""
        release = ".".join(map(str, self.release))
        pre = f"{self.pre[0]}{self.pre[1]}" if self.pre else ""
        post = "" if self.post is None else f".post{self.post}"
        dev = "" if self.dev is None else f".dev{self.dev}"
        local = "" if self.local is None else "+" + ".".join(str(value) for _, value in self.local)
        return f"{epoch}{release}{pre}{post}{dev}{local}"

    @property
    def order(self) -> tuple[object, ...]:
        """What sorts versions as PEP 440 does: dev, pre, release, local, post. Equal versions have equal ones."""
        return (*self.public, (0, ()) if self.local is None else (1, self.local))

    @property
    def public(self) -> tuple[object, ...]:
        """As `order`, for the part before the plus."""
        pre: tuple[int, str, int] = (1, "", 0)
        if self.pre is not None:
            pre = (0, *self.pre)
        elif self.dev is not None and self.post is None:
            pre = (-1, "", 0)
        post = -1 if self.post is None else self.post
        dev = (1, 0) if self.dev is None else (0, self.dev)
        return (self.epoch, significant(self.release), pre, post, dev)


def significant(release: tuple[int, ...]) -> tuple[int, ...]:
    """A release without the zeros at its end: 4.3 and 4.3.0 are one."""
    while len(release) > 1 and release[-1] == 0:
        release = release[:-1]
    return release


@lru_cache(maxsize=128)
def parse(text: str) -> Version | None:
    """The version that a text is; None: it is none."""
    text = text.strip().lower()
    found = _FORM.fullmatch(text) if len(text) <= LONGEST and text.isascii() else None
    if found is None:
        return None
    letter = found["pre"]
    return Version(
        epoch=int(found["epoch"] or 0),
        release=tuple(int(number) for number in found["release"].split(".")),
        pre=(_PRE.get(letter, letter), int(found["pre_n"] or 0)) if letter else None,
        post=int(found["post_n1"] or found["post_n2"] or 0) if found["post"] else None,
        dev=int(found["dev_n"] or 0) if found["dev"] else None,
        local=tuple(_part(part) for part in re.split(r"[-_.]", found["local"])) if found["local"] else None,
    )


def canonical(text: str) -> str:
    """A version in its normal form; any other text as it is."""
    version = parse(text)
    return text if version is None else version.text


def same(wanted: str, found: str) -> bool:
    """Whether a version is the one that was wanted, as `wanted == found` in PEP 440.

    One that was wanted without a local part is any build of it. Texts that are no versions are compared as they are.
    """
    if wanted == found:
        return True
    want, have = parse(wanted), parse(found)
    if want is None or have is None:
        return False
    return want.order == have.order if want.local is not None else want.public == have.public


def equal(one: str | None, other: str | None) -> bool:
    """Whether two texts are one version, the part behind the plus included."""
    first, second = parse(one or ""), parse(other or "")
    return one == other if first is None or second is None else first.order == second.order


def agree(one: str, other: str) -> bool:
    """Whether two texts may speak of one build: equal, or one of them does not tell what stands behind the plus."""
    return same(one, other) or same(other, one)


def _part(text: str) -> Part:
    """One part of what stands behind the plus: numbers come after words."""
    return (1, int(text)) if text.isdecimal() else (0, text)
