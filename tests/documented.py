"""What the documentation shows: its blocks of code, its sessions on the wire, and the kind of a plugin's author."""

import json
import re
import sys
from pathlib import Path
from typing import Any

from tests.ports import reach

DOCS = Path(__file__).parent.parent / "docs"
SERVER = Path(__file__).parent / "e2e" / "servers" / "toy.py"


def blocks(page: str, language: str, heading: str = "") -> list[str]:
    """Return the blocks of code in a language ("" for none) on a page, or below one of its headings."""
    text = (DOCS / page).read_text(encoding="utf-8")
    if heading:
        text = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def frames(session: str) -> list[tuple[str, Any]]:
    """Return who says each line of a session ("→" is the client), and the frame."""
    told: list[str] = []
    for line in session.splitlines():
        if line[:1] in "→←":
            told.append(line)
        else:
            told[-1] += line.strip()
    return [(line[0], json.loads(line[2:])) for line in told]


def author_kind(folder: Path) -> tuple[str, str]:
    """Return the configuration with the kind of plugin-authors.md, and a PATH on which its program is."""
    folder.mkdir()
    program = folder / "my-server"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {SERVER} "$2" --name my-server\n', encoding="utf-8")
    program.chmod(0o755)
    (kind,) = blocks("plugin-authors.md", "toml")
    assert "8100-8119" in kind
    return '[daemon]\ndiscover = "off"\n\n' + kind.replace("8100-8119", reach(0)), str(folder)
