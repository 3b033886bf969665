"""Records the transcript again."""

import json
import re
import tempfile
from itertools import takewhile
from pathlib import Path

from tests.transcript import lines
from tests.transcript.names import HOME, RAW
from tests.transcript.stage import Line, Stage
from tests.transcript.story import story

DRAWN = {"launch": "{:08x}", "lease": "lease-{:012x}"}
"""Random ids are numbered instead, so that two recordings differ only where the daemon behaves differently."""


def record() -> list[Line]:
    """Return the lines of a new recording."""
    told: list[Line] = []
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder), told.append)
        stage.tell(story)
    # The daemon closes the remaining connections in no particular order.
    ends = sum(1 for _ in takewhile(lambda line: line.get("closes"), reversed(told)))
    told[-ends:] = sorted(told[-ends:], key=lambda line: str(line["connection"]))
    drawn: list[str] = []

    def numbered(found: re.Match[str]) -> str:
        pattern = DRAWN.get(found.lastgroup or "")
        if pattern is None:
            return found[0]
        if found[0] not in drawn:
            drawn.append(found[0])
        return pattern.format(drawn.index(found[0]) + 1)

    text = json.dumps(told).replace(str(stage.folder), HOME)
    return list(json.loads(RAW.sub(numbered, text)))


if __name__ == "__main__":
    lines.write(record())
