"""A virtual environment's `python.exe` on Windows: it is no interpreter, but starts one and waits for it."""

import ntpath
import os
import sys
from collections.abc import Mapping, Sequence

LAUNCHER_VARIABLE = "__PYVENV_LAUNCHER__"


def replace_launcher(argv: Sequence[str], environment: Mapping[str, str]) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """Return a command line and its variables with the interpreter itself in place of the launcher.

    Otherwise the known process would be the launcher, which ends the real one when it ends. The launcher passes the
    variable on: Python takes it for its own path, and finds its environment by it (multiprocessing does the same). On
    other systems nothing changes.
    """
    program = argv[0]
    # A name without a path is not resolved here, least of all by the content of the current folder.
    if sys.platform != "win32" or not ntpath.isabs(program):
        return tuple(argv), environment
    if not ntpath.basename(program).lower().startswith("python"):
        return tuple(argv), environment
    folder = _interpreter_folder(ntpath.join(ntpath.dirname(ntpath.dirname(program)), "pyvenv.cfg"))
    interpreter = ntpath.join(folder, ntpath.basename(program)) if folder else ""
    if not os.path.exists(interpreter):  # noqa: PTH110 (clients do without pathlib)
        return tuple(argv), environment
    return (interpreter, *argv[1:]), {**environment, LAUNCHER_VARIABLE: program}


def _interpreter_folder(settings: str) -> str:
    """Return the folder of the interpreter that an environment was made with; empty if `settings` cannot be read."""
    try:
        with open(settings, encoding="utf-8") as file:  # noqa: PTH123 (the same)
            pairs = [line.partition("=") for line in file]
    except (OSError, UnicodeDecodeError):
        return ""
    return next((value.strip() for key, _, value in pairs if key.strip().lower() == "home"), "")
