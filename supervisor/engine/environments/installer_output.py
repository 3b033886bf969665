"""What pip and uv print about versions that they could not install. Pure."""

import re

from ...core.pep440 import matches
from ...kinds.versions import release_number


def index_lacks(package: str, version: str, output: str) -> bool:
    """Return whether pip or uv reports that the index, which it could reach, does not have this version."""
    text = " ".join(output.split())
    name = "[-_.]+".join(map(re.escape, re.split(r"[-_.]+", package)))
    wanted = rf"{name}=={re.escape(version)}(?![\w.+!])"
    if re.search(rf"there is no version of {wanted}", text, re.IGNORECASE):
        return True
    listed = re.search(rf"satisfies the requirement {wanted} \(from versions: ([^)]+)\)", text, re.IGNORECASE)
    if listed is None or listed[1].strip() == "none":
        return False
    # pip leaves out versions that need another Python. Then the version exists, and the user has to know about Python.
    ignored = re.search(r"require a different python version: (.+?)(?: ERROR:|$)", text, re.IGNORECASE)
    others = re.findall(r"(\S+) Requires-Python", ignored[1]) if ignored else []
    return not any(matches(version, other) for other in others)


def versions_offered(package: str, output: str) -> list[str]:
    """Return the versions that pip or uv lists after it could not find the requested one, oldest first."""
    text = " ".join(output.split())
    name = re.escape(package)
    pip = re.findall(rf"requirement {name}\S* .{{0,200}}?\(from versions: ([^)]*)\)", text, re.IGNORECASE)
    found = [version.strip() for names in pip for version in names.split(",") if version.strip() != "none"]
    one_or_more = rf"only (?:the following versions of \S+ are available: )?((?:{name}[<>=]=\S+,? ?)+)"
    for offered in re.findall(one_or_more, text, re.IGNORECASE):
        found += re.findall(r"[<>=]=([^\s,]+)", offered)
    return sorted(dict.fromkeys(found), key=lambda version: release_number(version) or ())
