"""Restricts the search for modules to this installation, whatever variables and the current folder add.

This runs before all other imports, so it imports only modules that are already loaded (ADR 12).
"""

import os
import sys
from collections.abc import Iterable, Mapping

VARIABLE = "PYTHONPATH"

ROOT = os.path.abspath(os.path.join(__file__, *[os.pardir] * 4))  # noqa: PTH100, PTH118 (no pathlib yet)
"""The folder in which this package was found."""


def remove_foreign_folders() -> None:
    """Remove the folders that PYTHONPATH, the current folder or the script's folder put before our own.

    A module that was loaded from one of them is forgotten too. The folder of this package stays. If PYTHONPATH
    names it, all of PYTHONPATH stays, because such an installation has its other packages there as well. Folders of the
    interpreter that were put first are moved behind the others.
    """
    added = [] if sys.flags.ignore_environment else _entries(os.environ.get(VARIABLE))
    if ROOT in added:
        added = []
    if not sys.flags.safe_path and sys.path[:1] != [ROOT]:
        added += [entry for entry in sys.path[:1] if entry in _put_first()]
    foreign = {entry for entry in added if entry not in _own()}
    sys.path[:] = [
        *(entry for entry in sys.path if entry not in added),
        *(entry for entry in dict.fromkeys(added) if entry not in foreign),
    ]
    _forget(foreign)


def restart_without_foreign_library() -> None:
    """Restart this program if a variable leads its virtual environment to the library of another interpreter.

    An environment notes the place of its library, so it never needs the variable. Windows cannot replace a process;
    there the user sees the error about a missing module.
    """
    misled = [name for name in ("PYTHONHOME", "PYTHONPLATLIBDIR") if os.environ.get(name)]
    if not misled or sys.flags.ignore_environment or sys.platform == "win32":
        return
    if os.path.exists(os.path.join(_above(_above(sys.executable)), "pyvenv.cfg")):  # noqa: PTH110, PTH118 (no pathlib yet)
        kept = {name: value for name, value in os.environ.items() if name not in misled}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], kept)  # noqa: S606 (ourselves)


def without_python_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for another process of this installation, without Python's variables except needed ones."""
    needed = {"PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE", "PYTHONNOUSERSITE", "PYTHONUSERBASE"}
    if ROOT in _entries(environment.get(VARIABLE)):
        needed.add(VARIABLE)
    return {name: value for name, value in environment.items() if name in needed or not is_python_variable(name)}


def is_python_variable(name: str) -> bool:
    """Return whether a variable is one of CPython's own, such as PYTHONPATH, PYTHONHOME and PYTHONOPTIMIZE.

    PYTHON_KEYRING_BACKEND and others with an underscore belong to programs, or have no effect that matters here.
    """
    return name.startswith("PYTHON") and "_" not in name


def _entries(value: str | None) -> list[str]:
    """Return the folders of a search path, absolute as `site` makes them. An empty entry is the current folder."""
    return [_absolute(entry) for entry in value.split(os.pathsep)] if value else []


def _absolute(folder: str) -> str:
    try:
        return os.path.abspath(folder)  # noqa: PTH100 (no pathlib yet)
    except OSError:
        # The current folder has been removed. `site` leaves such an entry unchanged.
        return folder


def _put_first() -> tuple[str, ...]:
    """Return the entries of which Python itself may have put one first: the current folder, and that of the script."""
    script = getattr(sys.modules["__main__"], "__file__", None) or ""
    return ("", _absolute(""), _above(os.path.realpath(script)))


def _own() -> frozenset[str]:
    """Return the folders of the interpreter and its packages, which PYTHONPATH may name too."""
    library = os.path.dirname(os.__file__)  # noqa: PTH120 (no pathlib yet)
    site = sys.modules.get("site")
    packages = site.getsitepackages() if site else []
    return frozenset({library, os.path.join(library, "lib-dynload"), ROOT, *packages})  # noqa: PTH118 (the same)


def _forget(folders: Iterable[str]) -> None:
    """Drop the modules that were loaded from these folders, and their submodules."""
    places = {_absolute(folder) for folder in folders}
    loaded = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items() if "." not in name}
    foreign_modules = {
        name
        for name, file in loaded.items()
        if name != "__main__" and file and (_above(file) in places or _above(_above(file)) in places)
    }
    for name in [name for name in sys.modules if name.partition(".")[0] in foreign_modules]:
        del sys.modules[name]


def _above(path: str) -> str:
    return os.path.dirname(path)  # noqa: PTH120 (no pathlib yet)
