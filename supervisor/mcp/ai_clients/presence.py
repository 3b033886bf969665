"""Finds out whether an AI client is on this machine."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from .places import Places
from .table import AiClient


def found_by(client: AiClient, places: Places, environment: Mapping[str, str]) -> str | None:
    """Return the program, folder or file by which a client was found. Returns None if it was not found."""
    for program in client.programs:
        path = shutil.which(program, path=environment.get("PATH"))
        if path is not None:
            return path
    for folder in client.folders(places):
        if is_there(folder, Path.is_dir):
            return str(folder)
    for file in client.user_files(places):
        if is_there(file, Path.is_file):
            return str(file)
    return None


def is_there(path: Path, is_expected: Callable[[Path], bool]) -> bool:
    """Return whether there is what is expected. A path that cannot be looked at shows nothing."""
    try:
        return is_expected(path)
    except OSError:
        return False
