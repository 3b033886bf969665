"""Where this process looks for modules: in its own installation, whatever variables and the current folder add to it.

Run before anything else is imported, so it imports nothing that is not loaded already (ADR 12).
"""

import os
import sys
from collections.abc import Iterable, Mapping

VARIABLE = "PYTHONPATH"

ROOT = os.path.abspath(os.path.join(__file__, *[os.pardir] * 4))  # noqa: PTH100, PTH118 (no pathlib yet)
"""The folder that this package was found in."""


def keep_to_ourselves() -> None:
    """Forget the folders that PYTHONPATH, the current folder or the script's folder put in front of our own.

    A module that was loaded from one of them is forgotten too. A folder that we were found in stays, and with it all of
    PYTHONPATH, because an installation that needs that variable has its other packages there as well.
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


def leave_other_interpreter() -> None:
    """Begin anew where a variable leads a virtual environment's interpreter to the library of another one.

    An environment notes where its own library is, so it never needs the variable. Windows replaces no process; there
    the error of whatever is missing has to do.
    """
    misled = [name for name in ("PYTHONHOME", "PYTHONPLATLIBDIR") if os.environ.get(name)]
    if not misled or sys.flags.ignore_environment or sys.platform == "win32":
        return
    if os.path.exists(os.path.join(_above(_above(sys.executable)), "pyvenv.cfg")):  # noqa: PTH110, PTH118 (no pathlib yet)
        kept = {name: value for name, value in os.environ.items() if name not in misled}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], kept)  # noqa: S606 (ourselves)


def without_interpreter(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for another process of this installation: only the variables of Python that it needs stay."""
    needed = {"PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE", "PYTHONNOUSERSITE", "PYTHONUSERBASE"}
    if ROOT in _entries(environment.get(VARIABLE)):
        needed.add(VARIABLE)
    return {name: value for name, value in environment.items() if name in needed or not of_the_interpreter(name)}


def of_the_interpreter(name: str) -> bool:
    """Whether a variable is one of CPython's own: PYTHONPATH, PYTHONHOME, PYTHONOPTIMIZE and their like.

    PYTHON_KEYRING_BACKEND and others with an underscore belong to programs, or change nothing that matters here.
    """
    return name.startswith("PYTHON") and "_" not in name


def _entries(value: str | None) -> list[str]:
    """The folders of a search path, as `site` makes them absolute. An empty entry is the current folder."""
    return [_absolute(entry) for entry in value.split(os.pathsep)] if value else []


def _absolute(folder: str) -> str:
    try:
        return os.path.abspath(folder)  # noqa: PTH100 (no pathlib yet)
    except OSError:
        # The current folder has gone. `site` leaves such an entry as it is.
        return folder


def _put_first() -> tuple[str, ...]:
    """What Python itself may have put in front: the current folder, or the one of the script."""
    script = getattr(sys.modules["__main__"], "__file__", None) or ""
    return ("", _absolute(""), _above(os.path.realpath(script)))


def _own() -> frozenset[str]:
    """The folders of the interpreter and its packages. One of them may stand in PYTHONPATH too."""
    library = os.path.dirname(os.__file__)  # noqa: PTH120 (no pathlib yet)
    site = sys.modules.get("site")
    packages = site.getsitepackages() if site else []
    return frozenset({library, os.path.join(library, "lib-dynload"), ROOT, *packages})  # noqa: PTH118 (the same)


def _forget(folders: Iterable[str]) -> None:
    """Drop the modules that were loaded from these folders themselves, and what is inside of these."""
    places = {_absolute(folder) for folder in folders}
    loaded = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items() if "." not in name}
    foreign_servers = {
        name
        for name, file in loaded.items()
        if name != "__main__" and file and (_above(file) in places or _above(_above(file)) in places)
    }
    for name in [name for name in sys.modules if name.partition(".")[0] in foreign_servers]:
        del sys.modules[name]


def _above(path: str) -> str:
    return os.path.dirname(path)  # noqa: PTH120 (no pathlib yet)
