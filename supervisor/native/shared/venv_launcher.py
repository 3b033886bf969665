"""A virtual environment's `python.exe` on Windows, which is no interpreter: it starts one, and waits for it."""

import ntpath
import os
import sys
from collections.abc import Mapping, Sequence

LAUNCHER_VARIABLE = "__PYVENV_LAUNCHER__"


def without(argv: Sequence[str], environment: Mapping[str, str]) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """A command line and its variables, with the interpreter itself in the redirector's place. Elsewhere as they are.

    The redirector would be the process that we know, and it ends the real one when it ends. The variable is what it
    passes on: Python takes it for its own path, and finds its environment by that (multiprocessing does the same).
    """
    program = argv[0]
    # Where a name without its whole path leads is not for us to tell, least of all by what lies in this folder.
    if sys.platform != "win32" or not ntpath.isabs(program):
        return tuple(argv), environment
    if not ntpath.basename(program).lower().startswith("python"):
        return tuple(argv), environment
    home = _base(ntpath.join(ntpath.dirname(ntpath.dirname(program)), "pyvenv.cfg"))
    base = ntpath.join(home, ntpath.basename(program)) if home else ""
    if not os.path.exists(base):  # noqa: PTH110 (clients do without pathlib)
        return tuple(argv), environment
    return (base, *argv[1:]), {**environment, LAUNCHER_VARIABLE: program}


def _base(settings: str) -> str:
    """The folder of the interpreter that an environment was made with; empty where there is no environment."""
    try:
        with open(settings, encoding="utf-8") as file:  # noqa: PTH123 (the same)
            pairs = [line.partition("=") for line in file]
    except (OSError, UnicodeDecodeError):
        return ""
    return next((value.strip() for key, _, value in pairs if key.strip().lower() == "home"), "")
