"""Reads versions as PEP 440 defines them: their normal form, their equality and their order. Pure.

The daemon does without `packaging`, because it only compares and names versions, and each import costs memory.
"""

import re
from functools import lru_cache

from ..values import frozen

LONGEST = 64
"""Characters of a version. A longer text is not read as a version."""

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
    """A version, taken apart.

    `pre` is its letter and number; `local` has the parts behind the plus, None without a plus.
    """

    epoch: int
    release: tuple[int, ...]
    pre: tuple[str, int] | None = None
    post: int | None = None
    dev: int | None = None
    local: tuple[Part, ...] | None = None

    @property
    def text(self) -> str:
        """The version in its normal form.

        Zeros at the end of the release stay, because they are part of a file's name.
        """
        epoch = f"{self.epoch}!" if self.epoch else ""
        release = ".".join(map(str, self.release))
        pre = f"{self.pre[0]}{self.pre[1]}" if self.pre else ""
        post = "" if self.post is None else f".post{self.post}"
        dev = "" if self.dev is None else f".dev{self.dev}"
        local = "" if self.local is None else "+" + ".".join(str(value) for _, value in self.local)
        return f"{epoch}{release}{pre}{post}{dev}{local}"

    @property
    def order(self) -> tuple[object, ...]:
        """The sort key. Of one release, PEP 440 sorts dev first, then pre, the release itself, local builds, and post.

        Equal versions have equal keys.
        """
        return (*self.public, (0, ()) if self.local is None else (1, self.local))

    @property
    def public(self) -> tuple[object, ...]:
        """The sort key without the part behind the plus."""
        pre: tuple[int, str, int] = (1, "", 0)
        if self.pre is not None:
            pre = (0, *self.pre)
        elif self.dev is not None and self.post is None:
            pre = (-1, "", 0)
        post = -1 if self.post is None else self.post
        dev = (1, 0) if self.dev is None else (0, self.dev)
        return (self.epoch, significant(self.release), pre, post, dev)


def significant(release: tuple[int, ...]) -> tuple[int, ...]:
    """Return a release without the zeros at its end: 4.3 and 4.3.0 are the same version."""
    while len(release) > 1 and release[-1] == 0:
        release = release[:-1]
    return release


@lru_cache(maxsize=128)
def parse(text: str) -> Version | None:
    """Return the version that a text denotes, None if it is not a version."""
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
    """Return a version in its normal form, any other text unchanged."""
    version = parse(text)
    return text if version is None else version.text


def matches(wanted: str, found: str) -> bool:
    """Return whether a found version matches the wanted one, as PEP 440 matches `==`.

    A wanted version without a local part matches every build of it. Texts that are no versions match if they are equal.
    """
    if wanted == found:
        return True
    want, have = parse(wanted), parse(found)
    if want is None or have is None:
        return False
    return want.order == have.order if want.local is not None else want.public == have.public


def same_version(one: str | None, other: str | None) -> bool:
    """Return whether two texts denote one version, including the part behind the plus."""
    first, second = parse(one or ""), parse(other or "")
    return one == other if first is None or second is None else first.order == second.order


def may_be_same_build(one: str, other: str) -> bool:
    """Return whether two texts may denote one build: the same version, or one text omits the part behind the plus."""
    return matches(one, other) or matches(other, one)


def _part(text: str) -> Part:
    """Return one part of the text behind the plus as a sort key: numbers come after words."""
    return (1, int(text)) if text.isdecimal() else (0, text)
