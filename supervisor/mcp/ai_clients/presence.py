"""Finds out whether an AI client is on this machine."""

import shutil
from collections.abc import Mapping

from .places import Places
from .table import AiClient


def found_by(client: AiClient, places: Places, environment: Mapping[str, str]) -> str | None:
    """Return the program or the folder by which a client was found. Returns None if it was not found."""
    for program in client.programs:
        path = shutil.which(program, path=environment.get("PATH"))
        if path is not None:
            return path
    for folder in client.folders(places):
        try:
            if folder.is_dir():
                return str(folder)
        except OSError:
            continue
    return None
